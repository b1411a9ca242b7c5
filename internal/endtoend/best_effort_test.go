//go:build linux

package endtoend

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// With BestEffort a change that cannot be made does not cost the packet: it goes on,
// with the rest of its verdict.
func TestBestEffortLetsPacketsOnWhoseConnectionCannotBeChanged(t *testing.T) {
	for _, bestEffort := range []bool{false, true} {
		var told collector
		l := newLane(t, ipv4, lab.Output, nfqueue.Config{BestEffort: bestEffort, OnError: told.add})
		marked := addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(5))
		runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithMark(5).WithConntrackMark(1, 0xff)
		})
		send(t, l.from, "x")
		want := uint64(0)
		if bestEffort {
			want = 1
			wantReceived(t, l.to, "x")
		}
		await(t, "OnError is told", func() bool { return told.count(nfqueue.ErrUntracked) == 1 })
		wantPackets(t, marked, want)
		if s := l.queue.Stats(); s.Omitted != want || s.Fallbacks != 1-want {
			t.Errorf("BestEffort %v: stats %+v", bestEffort, s)
		}
	}
}
