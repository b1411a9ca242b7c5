//go:build linux

package faults

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Configure finds the kernel's answer behind packets that nobody receives. It keeps
// as many as fit the receive buffer, and leaves the others there.
func TestConfigureKeepsABoundedNumberOfPackets(t *testing.T) {
	const buffer, sent = 32 << 10, 2000
	cfg := nfqueue.Config{Socket: nfnl.Config{ReadBuffer: buffer}}
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, cfg)
	failed := 0
	for range sent / 200 {
		endtoend.SendNumbers(t, l.From, 0, 200)
		if failed == 0 && l.Queue.Configure(cfg) != nil {
			failed++
		}
	}
	// What was kept, and what is on the socket: the kernel doubles its size.
	n := endtoend.AcceptWaiting(t, l.Queue)
	if most := 3 * 2 * buffer / 768; failed == 0 || n == 0 || n > most {
		t.Errorf("%d packets were there, want at most %d; Configure failed %d times", n, most, failed)
	}
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.Send(t, l.From, "last") // shows the gap
	testkit.Await(t, "all packets are accounted for", func() bool { s := l.Queue.Stats(); return s.Packets+s.Lost == sent+1 })
	testkit.Must(t, l.Queue.Configure(cfg))
}
