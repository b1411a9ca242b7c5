//go:build linux

package endtoend

import (
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Configure finds the kernel's answer behind packets that nobody receives. It keeps
// as many as fit the receive buffer, and leaves the others there.
func TestConfigureKeepsABoundedNumberOfPackets(t *testing.T) {
	const buffer, sent = 32 << 10, 2000
	cfg := nfqueue.Config{Socket: nfnl.Config{ReadBuffer: buffer}}
	l := newLane(t, ipv4, lab.Input, cfg)
	failed := 0
	for range sent / 200 {
		sendNumbered(t, l, 200)
		if failed == 0 && l.queue.Configure(cfg) != nil {
			failed++
		}
	}
	// What was kept, and what is on the socket: the kernel doubles its size.
	n := acceptAll(t, l.queue)
	if most := 3 * 2 * buffer / 768; failed == 0 || n == 0 || n > most {
		t.Errorf("%d packets were there, want at most %d; Configure failed %d times", n, most, failed)
	}
	runQueue(t, l.queue, accept)
	send(t, l.from, "last") // shows the gap
	await(t, "all packets are accounted for", func() bool { s := l.queue.Stats(); return s.Packets+s.Lost == sent+1 })
	must(t, l.queue.Configure(cfg))
}

// A log loses what Configure has no room for, and counts it.
func TestConfigureOfALogKeepsABoundedNumberOfPackets(t *testing.T) {
	const buffer, size, sent = 32 << 10, 1400, 2000
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1, Socket: nfnl.Config{ReadBuffer: buffer}}
	n := newNet(t)
	r := openLog(t, n, cfg)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	_, from := udpPair(t, n, "udp", ipv4.address())
	for i := range sent {
		send(t, from, strings.Repeat("x", size))
		if i%200 == 199 {
			must(t, r.Configure(cfg))
		}
	}
	send(t, from, "last") // shows the gap
	b := r.NewBatch()
	for {
		must(t, r.TryReceive(b))
		if len(b.Packets) == 0 {
			break
		}
	}
	if s, most := r.Stats(), 3*2*buffer/size; s.Packets == 0 || s.Packets > uint64(most) || s.Packets+s.Lost != sent+1 {
		t.Errorf("%d packets were there, want at most %d, and %d are counted as lost", s.Packets, most, s.Lost)
	}
}
