//go:build linux

package faults

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// pollLoop is an event loop that need not wait for packets, for they keep coming.
func pollLoop(q *nfqueue.Queue, h nfqueue.Handler) error {
	for b := q.NewBatch(); ; {
		if err := q.TryReceive(b); err != nil {
			return err
		}
		for i := range b.Packets {
			b.Verdicts[i] = h(&b.Packets[i])
		}
		if err := q.Send(b); err != nil {
			return err
		}
	}
}

// Packets come faster than they are decided, and answers of the kernel find no room:
// Shutdown ends all the same, and every packet that was received has the verdict that
// it is counted with.
func TestShutdownDuringAFlood(t *testing.T) {
	run := func(q *nfqueue.Queue, h nfqueue.Handler) error { return q.Run(context.Background(), h) }
	for name, c := range map[string]struct {
		run func(*nfqueue.Queue, nfqueue.Handler) error
		cut bool // before all have a verdict of the handler
	}{
		"Run":            {run, false},
		"Run, cut short": {run, true},
		"TryReceive":     {pollLoop, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Fallback: nfqueue.Accept()})
			later, err := l.Net.Chain(lab.IPv4, lab.Input, 10)
			testkit.Must(t, err)
			passed, err := later.Add(lab.UDP(9999))
			testkit.Must(t, err)
			stop := endtoend.Flood(t, l.From)
			ended := testkit.Background(func() error {
				return c.run(l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
					for start := time.Now(); time.Since(start) < 30*time.Microsecond; { // a sleep would be longer
					}
					return nfqueue.Accept()
				})
			})
			testkit.Await(t, "some packets are decided", func() bool { return l.Queue.Stats().Accepted > 2000 })
			if c.cut {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := l.Queue.Shutdown(ctx); !errors.Is(err, context.Canceled) { // nil if all had a verdict
					testkit.Must(t, err)
				}
			} else {
				testkit.Must(t, endtoend.Shutdown(l.Queue))
			}
			testkit.WantError(t, name, testkit.Next(t, ended), net.ErrClosed)
			stop()
			s := l.Queue.Stats()
			if n := endtoend.Packets(t, passed); s.Accepted != n || s.Packets != n {
				t.Errorf("%d packets were let through, stats %+v", n, s)
			}
		})
	}
}
