//go:build linux

package endtoend

import (
	"context"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
)

// What the kernel has collected for a log are copies: they come although their
// device went down and all chains were deleted, which drops queued packets.
func TestCollectedPacketsOutliveTheirDevice(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1000, Collect: time.Hour})
	l.send(t, 0, 10)
	must(t, l.net.Down("lo"))
	must(t, l.net.Up("lo"))
	must(t, l.net.Flush())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	packets, err := collectUntil(ctx, l.reader)
	wantError(t, "loop", err, context.Canceled)
	ipv4.wantNumbers(t, packets, 0, 10)
	if s := l.reader.Stats(); s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}
