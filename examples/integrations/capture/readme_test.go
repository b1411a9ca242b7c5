//go:build linux

package main

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/documents"
)

func TestCodeOfReadmeCompiles(t *testing.T) {
	code := documents.Code{
		Imports: []string{
			"context", "io", "github.com/nfpacket/nfpacket/nfnl", "github.com/nfpacket/nfpacket/nfqueue", "github.com/nfpacket/nfpacket/examples/integrations/capture/pcapng",
		},
		Known: `
			var (
				q      *nfqueue.Queue
				file   io.WriteCloser
				links  *nfnl.Links
				decide nfqueue.Handler
				_      context.Context
			)`,
	}
	if code.Check(t, "README.md") == 0 {
		t.Error("README.md has no code")
	}
}
