//go:build linux

package nfpacket

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
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
		"Receive": func(q *nfqueue.Queue) error { return receiveForever(q) },
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

// receiveForever accepts packets with a loop of its own.
func receiveForever(q *nfqueue.Queue) error {
	for b := q.NewBatch(); ; {
		if err := q.Receive(b); err != nil {
			return err
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept()
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
	if calls != 5 {
		t.Errorf("the handler was called %d times, want 5 as the packets had come", calls)
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
			background(func() error { return receiveForever(q) }),
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

func TestCancelledRunReturnsTheCause(t *testing.T) {
	cause := errors.New("the reason why")
	for _, c := range []struct {
		name    string
		context func() (context.Context, func())
		want    error
	}{
		{"cancel", func() (context.Context, func()) {
			ctx, cancel := context.WithCancel(context.Background())
			return ctx, cancel
		}, context.Canceled},
		{"cause", func() (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(context.Background())
			return ctx, func() { cancel(cause) }
		}, cause},
		{"deadline", func() (context.Context, func()) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			context.AfterFunc(ctx, cancel)
			return ctx, func() {}
		}, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
			ctx, cancel := c.context()
			done := background(func() error { return l.queue.Run(ctx, accept) })
			if c.want != context.DeadlineExceeded {
				send(t, l.from, "during")
				wantReceived(t, l.to, "during")
			}
			cancel()
			if err := next(t, done); err != c.want {
				t.Errorf("Run: %v, want %v", err, c.want)
			}

			// Once the context is done Run takes nothing from the queue.
			send(t, l.from, "after")
			if err := l.queue.Run(ctx, accept); err != c.want {
				t.Errorf("Run after that: %v, want %v", err, c.want)
			}
			runQueue(t, l.queue, accept)
			wantReceived(t, l.to, "after")
		})
	}
}

// What Run has when its context ends, it finishes.
func TestCancelInTheHandlerFinishesTheBatch(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	sendNumbered(t, l, 5)
	ctx, cancel := context.WithCancel(context.Background())
	err := l.queue.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict {
		cancel()
		return nfqueue.Accept()
	})
	if err != context.Canceled {
		t.Errorf("Run: %v, want context.Canceled", err)
	}
	wantReceived(t, l.to, "0", "1", "2", "3", "4")
}

func TestReadDeadlineEndsReceiving(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	done := background(func() error { return receiveForever(l.queue) })
	send(t, l.from, "x")
	wantReceived(t, l.to, "x")
	must(t, l.queue.SetReadDeadline(time.Now()))
	wantError(t, "Receive", next(t, done), os.ErrDeadlineExceeded)
	wantError(t, "Run", l.queue.Run(context.Background(), accept), os.ErrDeadlineExceeded)

	must(t, l.queue.SetReadDeadline(time.Time{}))
	runQueue(t, l.queue, accept)
	send(t, l.from, "y")
	wantReceived(t, l.to, "y")
}

// Two goroutines share a queue; one ends, the other goes on, and neither spins.
func TestOneOfTwoRunsIsCancelled(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	runQueue(t, l.queue, accept)
	for range 20 {
		inside := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		second := background(func() error {
			close(inside)
			return l.queue.Run(ctx, accept)
		})
		<-inside
		send(t, l.from, "both")
		wantReceived(t, l.to, "both")
		cancel()
		if err := next(t, second); err != context.Canceled {
			t.Fatalf("the cancelled Run: %v", err)
		}
		send(t, l.from, "one")
		wantReceived(t, l.to, "one")
	}
	const idle, limit = 300 * time.Millisecond, 60 * time.Millisecond
	before := processTime(t)
	time.Sleep(idle)
	if used := processTime(t) - before; used > limit {
		t.Errorf("%v of processor time in %v of idleness", used, idle)
	}
}

// processTime returns the processor time that the process has used.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
