//go:build linux

package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A rule that spreads packets does so by their addresses: datagrams from many
// addresses reach all queues, and the one handler sees them all.
func TestRangeOfQueuesSharesPackets(t *testing.T) {
	const queues, senders, first = 3, 60, 100
	n := endtoend.NewNet(t)
	qs, err := nfqueue.OpenRange(nfqueue.Config{Queue: first, Socket: nfnl.Config{NetNS: n.FD()}}, queues)
	testkit.Must(t, err)
	defer qs.Close()
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(first, queues))
	pc, err := n.ListenPacket("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	defer pc.Close()

	var seen [queues]atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	done := testkit.Background(func() error {
		return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			seen[p.Queue-first].Add(1)
			return nfqueue.Accept()
		})
	})
	to, err := net.ResolveUDPAddr("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	for i := range senders {
		s, err := n.ListenPacket("udp", fmt.Sprintf("127.0.1.%d:0", i+1))
		testkit.Must(t, err)
		_, err = s.WriteTo([]byte("x"), to)
		testkit.Must(t, err)
		testkit.Must(t, s.Close())
		endtoend.WantReceived(t, pc, "x")
	}
	cancel()
	testkit.WantError(t, "Run", testkit.Next(t, done), context.Canceled)
	for i := range seen {
		if seen[i].Load() == 0 {
			t.Errorf("queue %d saw no packets", i)
		}
	}
	if s := qs.Stats(); s.Packets != senders || s.Lost != 0 {
		t.Errorf("%d packets, %d lost in all, want %d and 0", s.Packets, s.Lost, senders)
	}
}

// A range is opened as a whole or not at all.
func TestRangeWithATakenQueueOpensNone(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 2})
	qs, err := nfqueue.OpenRange(nfqueue.Config{Socket: nfnl.Config{NetNS: n.FD()}}, 4)
	if !errors.Is(err, nfqueue.ErrTaken) {
		t.Errorf("OpenRange: %v, want ErrTaken", err)
	}
	if err == nil {
		qs.Close()
	}
	for _, free := range []uint16{0, 1, 3} {
		endtoend.OpenQueue(t, n, nfqueue.Config{Queue: free})
	}
}

// Close ends all queues, and so does the end of one.
func TestRangeEndsTogether(t *testing.T) {
	for name, end := range map[string]func(*nfqueue.Queues) error{
		"Close":        (*nfqueue.Queues).Close,
		"Close of one": func(qs *nfqueue.Queues) error { return qs.Queue(1).Close() },
	} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			qs, err := nfqueue.OpenRange(nfqueue.Config{Socket: nfnl.Config{NetNS: n.FD()}}, 3)
			testkit.Must(t, err)
			defer qs.Close()
			done := testkit.Background(func() error { return qs.Run(context.Background(), endtoend.Accept) })
			testkit.Must(t, end(qs))
			testkit.WantError(t, "Run", testkit.Next(t, done), net.ErrClosed)
		})
	}
}
