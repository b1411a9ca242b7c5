//go:build linux

package endtoend

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
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
	done := background(func() error { return receiveForever(l.queue, nfqueue.Accept()) })
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
	// A Run that spins does so at any time; the collector may be at work at first.
	const idle, limit = 300 * time.Millisecond, 60 * time.Millisecond
	await(t, "an idle program uses little processor time", func() bool {
		before := processTime(t)
		time.Sleep(idle)
		return processTime(t)-before <= limit
	})
}

// processTime returns the processor time that the process has used.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
