//go:build linux

package queue

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
)

func TestMain(m *testing.M) { endtoend.Main(m, nil) }
