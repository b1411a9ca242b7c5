package nfnl_test

import (
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(testkit.WithoutLeaks(m))) }
