package nfqueue_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// No message for all packets up to an ID may catch one that is somebody else's.
func TestNoRunsWhilePacketsWaitElsewhere(t *testing.T) {
	const singles, run = "11 accept, 12 accept, 13 accept", "..23 accept"
	for name, elsewhere := range map[string]func(t *testing.T, q *nfqueue.Queue, w wiretap) (end func()){
		"held": func(t *testing.T, q *nfqueue.Queue, w wiretap) func() {
			w.deliver(t, 1, 1)
			tickets := make(chan nfqueue.Ticket, 1)
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				tickets <- p.Ticket()
				return nfqueue.Hold()
			})
			ticket := testkit.Next(t, tickets)
			testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
			stopRuns(t, q, w)
			return func() {
				if err := ticket.SetVerdict(nfqueue.Drop()); err != nil {
					t.Error(err)
				}
				w.wantSent(t, "1 drop")
			}
		},
		"in a batch": func(t *testing.T, q *nfqueue.Queue, w wiretap) func() {
			w.deliver(t, 1, 2)
			b := q.NewBatch()
			receive(t, q, b, 2)
			return func() {
				if err := q.Send(b); err != nil {
					t.Error(err)
				}
				w.wantSent(t, "..2 drop") // older than all others
			}
		},
		"with another Run": func(t *testing.T, q *nfqueue.Queue, w wiretap) func() {
			release := make(chan struct{})
			w.deliver(t, 1, 2)
			entered := make(chan struct{}, 2)
			stop := start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				entered <- struct{}{}
				<-release
				return nfqueue.Drop()
			})
			testkit.Next(t, entered)
			return func() {
				close(release)
				w.wantSent(t, "..2 drop")
				stop()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			q, w := tap(t, nfqueue.Config{RangeVerdicts: true, FlushAfter: time.Hour})
			end := elsewhere(t, q, w)
			w.deliver(t, 11, 13)
			if got := receiveAndSend(t, q, w, nfqueue.Accept()); got != singles {
				t.Errorf("meanwhile sent %q, want %q", got, singles)
			}
			end()
			w.deliver(t, 21, 23)
			if got := receiveAndSend(t, q, w, nfqueue.Accept()); got != run {
				t.Errorf("afterwards sent %q, want %q", got, run)
			}
		})
	}
}

// stopRuns ends the Runs that wait, so that the test can receive.
func stopRuns(t testing.TB, q *nfqueue.Queue, _ wiretap) {
	t.Helper()
	if err := q.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	b := q.NewBatch()
	testkit.Await(t, "Receive fails", func() bool { return q.Receive(b) != nil })
	if err := q.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestAdoptedQueueHasNoRuns(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	bind, err := nfqueue.Config{Queue: 7}.Bind()
	if err == nil {
		err = conn.Request(bind)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := k.Enqueue(packet("x"))
	if err := conn.Receive(nfnl.NewBatch(1, 1<<16, func(nfnl.Message, error) {})); err != nil { // by the owner before
		t.Fatal(err)
	}
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, RangeVerdicts: true})
	if err != nil {
		t.Fatal(err)
	}
	ids := []uint32{k.Enqueue(packet("x")), k.Enqueue(packet("x"))}
	start(t, q, accept)
	for _, id := range ids {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	if left := k.Waiting(); !slices.Equal(left, []uint32{before}) {
		t.Errorf("waiting are %v, want the one that nobody here has seen", left)
	}
}

// What the kernel would not take an answer for must not be let through with
// what comes later.
func TestNoRunsAfterAVerdictThatDidNotArrive(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, RangeVerdicts: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictType || m.Type == verdictBatchType {
			return syscall.EPERM
		}
		return nil
	})
	lost := k.Enqueue(packet("x"))
	if err := q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop() }); !errors.Is(err, syscall.EPERM) {
		t.Fatal(err)
	}
	k.Refuse(nil)
	ids := []uint32{k.Enqueue(packet("y")), k.Enqueue(packet("y")), k.Enqueue(packet("y"))}
	start(t, q, accept)
	for _, id := range ids {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	if left := k.Waiting(); !slices.Equal(left, []uint32{lost}) {
		t.Errorf("waiting are %v, want %d: the handler said drop", left, lost)
	}
}
