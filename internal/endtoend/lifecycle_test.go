//go:build linux

package endtoend

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// flood sends datagrams as fast as it can until stop is called, or the test ends.
func flood(t testing.TB, l *lane) (stop func()) {
	t.Helper()
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !done.Load() {
			// The kernel says EPERM of a packet that was dropped at once.
			_, _ = l.from.Write([]byte("flood"))
		}
	}()
	stop = func() {
		done.Store(true)
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// background calls f in a goroutine and returns what it will return.
func background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestCloseEndsWhatIsBlocked(t *testing.T) {
	for name, receive := range map[string]func(q *nfqueue.Queue) error{
		"Run":     func(q *nfqueue.Queue) error { return q.Run(context.Background(), accept) },
		"Receive": func(q *nfqueue.Queue) error { return receiveForever(q, nfqueue.Accept()) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
			first := background(func() error { return receive(l.queue) })
			second := background(func() error { return receive(l.queue) })
			send(t, l.from, "x")
			wantReceived(t, l.to, "x")
			must(t, l.queue.Close())
			wantError(t, name, next(t, first), net.ErrClosed)
			wantError(t, name+" beside it", next(t, second), net.ErrClosed)
			must(t, l.queue.Close())
			wantError(t, name+" after Close", receive(l.queue), net.ErrClosed)
			openQueue(t, l.net, nfqueue.Config{}) // the kernel has it back
		})
	}
}

// receiveForever gives v to all packets, with a loop of its own.
func receiveForever(q *nfqueue.Queue, v nfqueue.Verdict) error {
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

func TestCloseInTheHandlerEndsRun(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	sendNumbered(t, l, 5)
	calls := 0
	err := next(t, background(func() error {
		return l.queue.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
			calls++
			if err := l.queue.Close(); err != nil {
				t.Error(err)
			}
			return nfqueue.Accept()
		})
	}))
	wantError(t, "Run", err, net.ErrClosed)
	if calls != 1 {
		t.Errorf("the handler was called %d times, want once: no verdict goes anywhere after that", calls)
	}
}

func TestCloseInOnErrorEndsRun(t *testing.T) {
	var q *nfqueue.Queue
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{
		OnError: func(error) { q.Close() },
		Socket:  nfnl.Config{ReadBuffer: 8 << 10},
	})
	q = l.queue
	sendNumbered(t, l, 200)
	acceptAll(t, q)
	send(t, l.from, "behind the gap")
	err := next(t, background(func() error { return q.Run(context.Background(), accept) }))
	wantError(t, "Run", err, net.ErrClosed)
}

// Close comes while packets stream in, while verdicts are being sent, and while
// tickets are answered: everything ends, with net.ErrClosed and nothing else.
func TestCloseUnderFlood(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	must(t, l.queue.Close())
	flood(t, l)
	for round := range 20 {
		q := openQueue(t, l.net, nfqueue.Config{})
		tickets := make(chan nfqueue.Ticket, 100)
		ended := []<-chan error{
			background(func() error { return receiveForever(q, nfqueue.Accept()) }),
			background(func() error {
				defer close(tickets)
				return q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
					select {
					case tickets <- p.Ticket():
						return nfqueue.Hold()
					default:
						return nfqueue.Accept()
					}
				})
			}),
			background(func() (err error) {
				for ticket := range tickets {
					err = ticket.SetVerdict(nfqueue.Accept())
				}
				return err
			}),
		}
		await(t, "packets", func() bool { return q.Stats().Packets > uint64(round*50) })
		must(t, q.Close())
		wantError(t, "Receive or Send", next(t, ended[0]), net.ErrClosed)
		wantError(t, "Run", next(t, ended[1]), net.ErrClosed)
		if err := next(t, ended[2]); err != nil {
			wantError(t, "Ticket.SetVerdict", err, net.ErrClosed)
		}
	}
}
