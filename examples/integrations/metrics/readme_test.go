//go:build linux

package metrics

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/documents"
)

func TestCodeOfReadmeCompiles(t *testing.T) {
	code := documents.Code{
		Imports: []string{
			"context", "net/http", "github.com/nfpacket/nfpacket/nfqueue", "github.com/nfpacket/nfpacket/nflog", "github.com/nfpacket/nfpacket/examples/integrations/metrics",
			"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promhttp",
		},
		Known: `
			var (
				q       *nfqueue.Queue
				reader  *nflog.Reader
				handler nfqueue.Handler
				_       context.Context
			)`,
	}
	if code.Check(t, "README.md") == 0 {
		t.Error("README.md has no code")
	}
}
