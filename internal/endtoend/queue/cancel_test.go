//go:build linux

package queue

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

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
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
			ctx, cancel := c.context()
			done := testkit.Background(func() error { return l.Queue.Run(ctx, endtoend.Accept) })
			if c.want != context.DeadlineExceeded {
				endtoend.Send(t, l.From, "during")
				endtoend.WantReceived(t, l.To, "during")
			}
			cancel()
			if err := testkit.Next(t, done); err != c.want {
				t.Errorf("Run: %v, want %v", err, c.want)
			}

			// Once the context is done Run takes nothing from the queue.
			endtoend.Send(t, l.From, "after")
			if err := l.Queue.Run(ctx, endtoend.Accept); err != c.want {
				t.Errorf("Run after that: %v, want %v", err, c.want)
			}
			endtoend.RunQueue(t, l.Queue, endtoend.Accept)
			endtoend.WantReceived(t, l.To, "after")
		})
	}
}

// What Run has when its context ends, it finishes.
func TestCancelInTheHandlerFinishesTheBatch(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.SendNumbers(t, l.From, 0, 5)
	ctx, cancel := context.WithCancel(context.Background())
	err := l.Queue.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict {
		cancel()
		return nfqueue.Accept()
	})
	if err != context.Canceled {
		t.Errorf("Run: %v, want context.Canceled", err)
	}
	endtoend.WantReceived(t, l.To, "0", "1", "2", "3", "4")
}

func TestReadDeadlineEndsReceiving(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	done := testkit.Background(func() error { return endtoend.ReceiveLoop(l.Queue, nfqueue.Accept()) })
	endtoend.Send(t, l.From, "x")
	endtoend.WantReceived(t, l.To, "x")
	testkit.Must(t, l.Queue.SetReadDeadline(time.Now()))
	testkit.WantError(t, "Receive", testkit.Next(t, done), os.ErrDeadlineExceeded)
	testkit.WantError(t, "Run", l.Queue.Run(context.Background(), endtoend.Accept), os.ErrDeadlineExceeded)

	testkit.Must(t, l.Queue.SetReadDeadline(time.Time{}))
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.Send(t, l.From, "y")
	endtoend.WantReceived(t, l.To, "y")
}

// Two goroutines share a queue; one ends, the other goes on, and neither spins.
func TestOneOfTwoRunsIsCancelled(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	for range 20 {
		inside := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		second := testkit.Background(func() error {
			close(inside)
			return l.Queue.Run(ctx, endtoend.Accept)
		})
		<-inside
		endtoend.Send(t, l.From, "both")
		endtoend.WantReceived(t, l.To, "both")
		cancel()
		if err := testkit.Next(t, second); err != context.Canceled {
			t.Fatalf("the cancelled Run: %v", err)
		}
		endtoend.Send(t, l.From, "one")
		endtoend.WantReceived(t, l.To, "one")
	}
	// A Run that spins does so at any time; the collector may be at work at first.
	const idle, limit = 300 * time.Millisecond, 60 * time.Millisecond
	testkit.Await(t, "an idle program uses little processor time", func() bool {
		before := processTime(t)
		time.Sleep(idle)
		return processTime(t)-before <= limit
	})
}

// processTime returns the processor time that the process has used.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	testkit.Must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
