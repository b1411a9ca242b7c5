//go:build linux

package lab_test

import (
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }
