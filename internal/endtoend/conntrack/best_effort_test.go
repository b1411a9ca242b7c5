//go:build linux

package conntrack

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// With BestEffort a change that cannot be made does not cost the packet: it goes on,
// with the rest of its verdict.
func TestBestEffortLetsPacketsOnWhoseConnectionCannotBeChanged(t *testing.T) {
	for _, bestEffort := range []bool{false, true} {
		var reported testkit.Errors
		l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{BestEffort: bestEffort, OnError: reported.Add})
		marked := endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(5))
		endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithMark(5).WithConntrackMark(1, 0xff)
		})
		endtoend.Send(t, l.From, "x")
		want := uint64(0)
		if bestEffort {
			want = 1
			endtoend.WantReceived(t, l.To, "x")
		}
		testkit.Await(t, "OnError is called", func() bool { return reported.Count(nfqueue.ErrUntracked) == 1 })
		endtoend.WantPackets(t, marked, want)
		if s := l.Queue.Stats(); s.Omitted != want || s.Fallbacks != 1-want {
			t.Errorf("BestEffort %v: stats %+v", bestEffort, s)
		}
	}
}
