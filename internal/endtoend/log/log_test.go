//go:build linux

package log

import (
	"context"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

// receiveLog returns how many packets one datagram brought.
func receiveLog(t testing.TB, r *nflog.Reader, b *nflog.Batch) int {
	t.Helper()
	testkit.Must(t, r.SetReadDeadline(time.Now().Add(testkit.Patience)))
	testkit.Must(t, r.Receive(b))
	return len(b.Packets)
}

// collectUntil iterates until ctx is done, and returns what came and the error.
func collectUntil(ctx context.Context, r *nflog.Reader) (all []*nflog.Packet, last error) {
	for p, err := range r.Packets(ctx) {
		if err != nil {
			return all, err
		}
		all = append(all, p.Clone())
	}
	return all, nil
}
