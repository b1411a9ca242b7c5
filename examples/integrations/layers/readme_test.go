//go:build linux

package layers

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/documents"
)

func TestCodeOfReadmeCompiles(t *testing.T) {
	code := documents.Code{
		Imports: []string{
			"context", "github.com/nfpacket/nfpacket/nfqueue", "github.com/nfpacket/nfpacket/nflog", "github.com/nfpacket/nfpacket/examples/integrations/layers",
			"github.com/gopacket/gopacket", "github.com/gopacket/gopacket/layers gplayers",
		},
		Known: `
			var (
				q      *nfqueue.Queue
				reader *nflog.Reader
				_      context.Context
			)`,
	}
	if code.Check(t, "README.md") == 0 {
		t.Error("README.md has no code")
	}
}
