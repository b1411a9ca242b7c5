//go:build linux

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// OpenQueue opens a queue in n, which is closed when the test ends.
func OpenQueue(t testing.TB, n *lab.Net, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	q, err := nfqueue.Open(cfg)
	testkit.Must(t, err)
	t.Cleanup(func() { q.Close() })
	return q
}

// RunQueue calls q.Run in the background until the test ends or stop is called,
// which returns Run's error.
func RunQueue(t testing.TB, q *nfqueue.Queue, h nfqueue.Handler) (stop func() error) {
	t.Helper()
	return testkit.Start(t, func(ctx context.Context) error { return q.Run(ctx, h) })
}

// OpenRange opens queues in n, which are closed when the test ends.
func OpenRange(t testing.TB, n *lab.Net, cfg nfqueue.Config, queues int) *nfqueue.Queues {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	qs, err := nfqueue.OpenRange(cfg, queues)
	testkit.Must(t, err)
	t.Cleanup(func() { qs.Close() })
	return qs
}

// Accept is the handler that accepts.
func Accept(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }

// AcceptWaiting accepts what is on the socket, and returns how many packets it was.
func AcceptWaiting(t testing.TB, q *nfqueue.Queue) (n int) {
	t.Helper()
	for b := q.NewBatch(); ; n += len(b.Packets) {
		testkit.Must(t, q.TryReceive(b))
		if len(b.Packets) == 0 {
			return n
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept()
		}
	}
}

// ReceiveLoop receives and sends, with verdict v for each packet, until one of the
// two fails.
func ReceiveLoop(q *nfqueue.Queue, v nfqueue.Verdict) error {
	for b := q.NewBatch(); ; {
		if err := q.Receive(b); err != nil {
			return err
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = v
		}
		if err := q.Send(b); err != nil {
			return err
		}
	}
}

// KernelStats returns q.KernelStats, and false where only root may read them.
func KernelStats(t testing.TB, q *nfqueue.Queue) (nfqueue.KernelStats, bool) {
	t.Helper()
	s, err := q.KernelStats()
	if errors.Is(err, os.ErrPermission) {
		return s, false
	}
	testkit.Must(t, err)
	return s, true
}

// HoldAll returns a handler that holds every packet, and the channel of the tickets.
func HoldAll() (nfqueue.Handler, <-chan nfqueue.Ticket) {
	tickets := make(chan nfqueue.Ticket, 1000)
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		return nfqueue.Hold()
	}, tickets
}

// AwaitHeld returns the next n tickets, once q counts their packets as held.
func AwaitHeld(t *testing.T, q *nfqueue.Queue, tickets <-chan nfqueue.Ticket, n int) []nfqueue.Ticket {
	t.Helper()
	taken := make([]nfqueue.Ticket, n)
	for i := range taken {
		taken[i] = testkit.Next(t, tickets)
	}
	testkit.Await(t, "the packets are held", func() bool { return q.Stats().Held == n })
	return taken
}

// Shutdown calls Shutdown of a queue or a reader, with the patience of a test.
func Shutdown(s interface{ Shutdown(context.Context) error }) error {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	return s.Shutdown(ctx)
}

// Stall runs a handler that blocks until release is called, and accepts then.
func Stall(t testing.TB, q *nfqueue.Queue) (release func()) {
	t.Helper()
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict { <-released; return nfqueue.Accept() })
	t.Cleanup(release) // before the Run is stopped
	return release
}

// WantOverruns fails the test unless OnError is called for that many lost packets,
// and for nothing else. It waits for the calls, which come after the counts.
func WantOverruns(t *testing.T, reported *testkit.Errors, lost uint64, bypassed bool) {
	t.Helper()
	testkit.Await(t, fmt.Sprintf("OnError is called for %d lost packets", lost), func() bool {
		sum := uint64(0)
		for _, err := range reported.All() {
			if o := (*nfnl.OverrunError)(nil); errors.As(err, &o) && o.Bypassed == bypassed {
				sum += o.Lost
			}
		}
		return sum == lost
	})
	reported.WantOnly(t, syscall.ENOBUFS)
	for _, err := range reported.All() {
		if o := (*nfnl.OverrunError)(nil); !errors.As(err, &o) || o.Bypassed != bypassed {
			t.Errorf("OnError was called with %#v, want an OverrunError with Bypassed %v", err, bypassed)
		}
	}
}
