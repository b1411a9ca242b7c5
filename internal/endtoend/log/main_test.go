//go:build linux

package log

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
)

func TestMain(m *testing.M) { endtoend.Main(m, nil) }
