//go:build linux

package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
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

// SetVerdictAll lets go what waits in all queues, held or not.
func TestRangeGetsAVerdictOnAll(t *testing.T) {
	const queues = 2
	n := endtoend.NewNet(t)
	qs := endtoend.OpenRange(t, n, nfqueue.Config{}, queues)
	to, err := n.ListenPacket("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	defer to.Close()
	var rules []*lab.Rule
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	testkit.Must(t, err)
	var from []net.Conn
	for i := range queues {
		c, err := n.Dial("udp", endtoend.IPv4.Address())
		testkit.Must(t, err)
		defer c.Close()
		port := c.LocalAddr().(*net.UDPAddr).Port
		r, err := chain.Add(lab.L4(unix.IPPROTO_UDP), lab.SrcPort(uint16(port)), lab.Queue(uint16(i)))
		testkit.Must(t, err)
		rules, from = append(rules, r), append(from, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hold, tickets := endtoend.HoldAll()
	done := testkit.Background(func() error { return qs.Run(ctx, hold) })
	for _, c := range from {
		endtoend.Send(t, c, "held")
		testkit.Next(t, tickets)
	}
	testkit.Await(t, "both are held", func() bool { return qs.Stats().Held == queues })
	cancel()
	testkit.Next(t, done)
	for _, c := range from {
		endtoend.Send(t, c, "not received")
	}
	for _, r := range rules {
		testkit.Must(t, r.Delete())
	}
	testkit.Must(t, qs.SetVerdictAll(nfqueue.Accept()))
	for range 2 * queues {
		endtoend.Receive(t, to)
	}
	if s := qs.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.Packets != queues { // those that were received
		t.Errorf("stats %+v", s)
	}
	testkit.Must(t, qs.Close())
	testkit.Must(t, qs.Close())
	testkit.WantError(t, "Run after Close", qs.Run(context.Background(), endtoend.Accept), net.ErrClosed)
	testkit.WantError(t, "SetVerdictAll after Close", qs.SetVerdictAll(nfqueue.Accept()), net.ErrClosed)
}

// A handler that ends its goroutine ends all queues, and leaves none of its own.
func TestRangeEndsWithItsHandler(t *testing.T) {
	n := endtoend.NewNet(t)
	qs := endtoend.OpenRange(t, n, nfqueue.Config{Fallback: nfqueue.Accept()}, 3)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(0, 3))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	for name, end := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("oops") }} {
		ended := make(chan any, 1)
		go func() {
			defer func() { ended <- recover() }()
			qs.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
				end()
				panic("unreachable")
			})
			t.Errorf("%s: Run returned", name)
		}()
		endtoend.Send(t, from, name)
		endtoend.WantReceived(t, to, name)
		if p, _ := testkit.Next(t, ended).(*nfqueue.PanicError); (p != nil) != (name == "panic") || p != nil && p.Value != "oops" {
			t.Errorf("%s: Run panicked with %v", name, p)
		}
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("the reason why")
	done := testkit.Background(func() error { return qs.Run(ctx, endtoend.Accept) })
	endtoend.Send(t, from, "y")
	endtoend.WantReceived(t, to, "y")
	cancel(cause)
	if err := testkit.Next(t, done); err != cause {
		t.Errorf("a second Run: %v, want %v", err, cause)
	}
}

// All queues of a range change, beside a Run.
func TestRangeIsConfigured(t *testing.T) {
	const first, queues = 40, 3
	n := endtoend.NewNet(t)
	qs := endtoend.OpenRange(t, n, nfqueue.Config{Queue: first}, queues)
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	testkit.Must(t, err)
	for i := range uint16(queues) {
		_, err := chain.Add(lab.UDP(9990+i), lab.Queue(first+i))
		testkit.Must(t, err)
	}
	type seen struct {
		queue uint16
		bytes int
	}
	got := make(chan seen, 1)
	done := testkit.Background(func() error {
		return qs.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
			got <- seen{p.Queue, len(p.Payload)}
			return nfqueue.Accept()
		})
	})
	for _, bytes := range []int{endtoend.IPv4.Headers, endtoend.IPv4.Headers + len("hello")} {
		testkit.Must(t, qs.Configure(nfqueue.Config{Queue: first, CopyRange: uint32(bytes)}))
		for i := range queues {
			c, err := n.Dial("udp", fmt.Sprintf("127.0.0.1:%d", 9990+i))
			testkit.Must(t, err)
			endtoend.Send(t, c, "hello")
			testkit.Must(t, c.Close())
			if got, want := testkit.Next(t, got), (seen{uint16(first + i), bytes}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	testkit.Must(t, qs.Close())
	testkit.WantError(t, "Run", testkit.Next(t, done), net.ErrClosed)
}

// The receive buffer is shared out between the queues.
func TestRangeSharesTheReceiveBuffer(t *testing.T) {
	n := endtoend.NewNet(t)
	one := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 100}).Granted().ReadBuffer
	each := endtoend.OpenRange(t, n, nfqueue.Config{}, 4).Granted().ReadBuffer
	if asked := 2 * 8 << 20; one < asked {
		t.Skipf("this user is granted %d bytes of %d", one, asked)
	}
	if each != one/4 {
		t.Errorf("each of four queues has %d bytes, one by itself %d", each, one)
	}
}
