//go:build linux

package queue

import (
	"fmt"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// takeOver closes a queue with packets that it has received, and some that it has not,
// and returns another on its socket.
func takeOver(t *testing.T, l *endtoend.QueuedUDP, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	for i := range 5 {
		endtoend.Send(t, l.From, fmt.Sprint("received ", i))
	}
	testkit.Must(t, l.Queue.Receive(l.Queue.NewBatch()))
	for i := range 3 {
		endtoend.Send(t, l.From, fmt.Sprint("left ", i))
	}
	f := endtoend.DupDescriptor(t, l.Queue)
	testkit.Must(t, l.Queue.Close())
	conn, err := nfnl.FileConn(f)
	testkit.Must(t, err)
	q, err := nfqueue.OpenConn(conn, cfg)
	testkit.Must(t, err)
	t.Cleanup(func() { q.Close() })
	return q
}

// Packets that only the program before has received are known to the kernel alone. Those
// that Shutdown gives the fallback count like any others.
func TestShutdownCountsWhatTheFormerHolderHad(t *testing.T) {
	for name, c := range map[string]struct {
		before    func(t *testing.T, q *nfqueue.Queue)
		fallbacks uint64
	}{
		"at once":      {func(*testing.T, *nfqueue.Queue) {}, 8},
		"what is left": {func(t *testing.T, q *nfqueue.Queue) { endtoend.AcceptWaiting(t, q) }, 5},
		"after SetVerdictAll": {func(t *testing.T, q *nfqueue.Queue) {
			testkit.Must(t, q.SetVerdictAll(nfqueue.Accept()))
		}, 0},
		"after SetVerdictUpTo": {func(t *testing.T, q *nfqueue.Queue) {
			endtoend.AcceptWaiting(t, q)
			testkit.Must(t, q.SetVerdictUpTo(8, nfqueue.Accept()))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
			q := takeOver(t, l, nfqueue.Config{Fallback: nfqueue.Accept()})
			if _, err := q.KernelStats(); err != nil {
				t.Skip(err)
			}
			c.before(t, q)
			testkit.Must(t, endtoend.Shutdown(q))
			for range 8 {
				endtoend.Receive(t, l.To)
			}
			if s := q.Stats(); s.Fallbacks != c.fallbacks {
				t.Errorf("stats %+v, want %d fallbacks", s, c.fallbacks)
			}
		})
	}
}
