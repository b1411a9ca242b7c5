//go:build linux

package nfpacket

import (
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/documents"
)

// docs/testing.md has a test of its own, which also runs its code, and so have the
// READMEs of other modules.
func TestCodeInDocumentsCompiles(t *testing.T) {
	code := documents.Code{
		Imports: []string{
			"bytes", "context", "errors", "log", "log/slog", "net", "net/netip", "os", "os/signal", "syscall", "time", "golang.org/x/sys/unix",
			module + "/attr", module + "/nfnl", module + "/nfqueue", module + "/nflog",
		},
		Known: `
			var (
				q          *nfqueue.Queue
				r          *nflog.Reader
				mask, bits uint32
				handler    nfqueue.Handler
				_          context.Context
			)`,
	}
	needsWholeModule(t)
	names := slices.DeleteFunc(documentNames(t), func(name string) bool {
		return name == "docs/testing.md" || strings.HasPrefix(name, "examples/integrations/")
	})
	if blocks := code.Check(t, names...); blocks < 5 {
		t.Errorf("only %d blocks of code were found", blocks)
	}
}
