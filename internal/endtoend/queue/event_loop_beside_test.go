//go:build linux

package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// acceptAll receives without waiting until nothing is there, as a loop with EPOLLET has
// to, and accepts that.
func acceptAll(t *testing.T, q *nfqueue.Queue, b *nfqueue.Batch) (n int) {
	t.Helper()
	for {
		testkit.Must(t, q.TryReceive(b))
		if len(b.Packets) == 0 {
			return n
		}
		n += len(b.Packets)
		acceptBatch(t, q, b)
	}
}

// acceptBatch accepts the packets of b.
func acceptBatch(t *testing.T, q *nfqueue.Queue, b *nfqueue.Batch) {
	t.Helper()
	for i := range b.Verdicts {
		b.Verdicts[i] = nfqueue.Accept()
	}
	testkit.Must(t, q.Send(b))
}

// A packet of which an event loop was notified once can be received, although others
// read the socket at the same time.
func TestEdgeTriggeredLoopBesideOthers(t *testing.T) {
	for name, beside := range map[string]func(*nfqueue.Queue) error{
		"Configure": func(q *nfqueue.Queue) error { return q.Configure(nfqueue.Config{Batch: 1}) },
		"a Run that is cancelled": func(q *nfqueue.Queue) error {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Microsecond)
			defer cancel()
			return unless(context.DeadlineExceeded, q.Run(ctx, endtoend.Accept))
		},
		"a Run that ends with its first packet": func(q *nfqueue.Queue) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			done := errors.New("done")
			ctx, stop := context.WithCancelCause(ctx)
			err := q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict {
				stop(done)
				return nfqueue.Accept()
			})
			return unless(done, unless(context.DeadlineExceeded, err))
		},
		"Receive with a deadline": func(q *nfqueue.Queue) error {
			testkit.Must(t, q.SetReadDeadline(time.Now().Add(30*time.Microsecond)))
			err := endtoend.ReceiveLoop(q, nfqueue.Accept())
			return errors.Join(unless(os.ErrDeadlineExceeded, err), q.SetReadDeadline(time.Time{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Batch: 1})
			edge, b := edges(t, l.Queue), l.Queue.NewBatch()
			rounds := 0
			for end := time.Now().Add(time.Second); time.Now().Before(end); rounds++ {
				done := testkit.Background(func() error { return beside(l.Queue) })
				time.Sleep(time.Duration(rounds%40) * time.Microsecond)
				endtoend.Send(t, l.From, "one", "two")
				acceptAll(t, l.Queue, b)
				testkit.Await(t, fmt.Sprint("round ", rounds), func() bool {
					select {
					case <-edge:
						acceptAll(t, l.Queue, b)
					default:
					}
					return l.Queue.Stats().Packets == uint64(2*(rounds+1)) // by whoever it was
				})
				testkit.Must(t, testkit.Next(t, done))
				endtoend.Receive(t, l.To)
				endtoend.Receive(t, l.To)
			}
			t.Log(rounds, "rounds")
		})
	}
}

// unless returns err unless it is the one expected.
func unless(expected, err error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// While Shutdown waits for another batch, the descriptor is readable and TryReceive
// returns nothing: a level-triggered loop must not call it without pause.
func TestEventLoopDoesNotSpinWhileShutdownWaits(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	fd := int32(endtoend.DupDescriptor(t, l.Queue).Fd())
	slow, b := l.Queue.NewBatch(), l.Queue.NewBatch()
	endtoend.Send(t, l.From, "slow")
	testkit.Must(t, l.Queue.TryReceive(slow))
	down := testkit.Background(func() error { return endtoend.Shutdown(l.Queue) })
	testkit.Await(t, "Shutdown waits", func() bool { return l.Queue.Configure(nfqueue.Config{}) != nil })
	time.Sleep(50 * time.Millisecond) // until it is sealed
	endtoend.Send(t, l.From, "later")
	tries := 0
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); tries++ {
		_, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, 10)
		if err != unix.EINTR {
			testkit.Must(t, err)
		}
		testkit.Must(t, l.Queue.TryReceive(b))
	}
	if tries > 400 {
		t.Errorf("TryReceive was called %d times in 200 ms for nothing", tries)
	}
	testkit.Must(t, l.Queue.Send(slow))
	testkit.Must(t, testkit.Next(t, down))
}
