//go:build linux

package queue

import (
	"context"
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestCloseEndsWhatIsBlocked(t *testing.T) {
	for name, receive := range map[string]func(q *nfqueue.Queue) error{
		"Run":     func(q *nfqueue.Queue) error { return q.Run(context.Background(), endtoend.Accept) },
		"Receive": func(q *nfqueue.Queue) error { return endtoend.ReceiveLoop(q, nfqueue.Accept()) },
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
			first := testkit.Background(func() error { return receive(l.Queue) })
			second := testkit.Background(func() error { return receive(l.Queue) })
			endtoend.Send(t, l.From, "x")
			endtoend.WantReceived(t, l.To, "x")
			testkit.Must(t, l.Queue.Close())
			testkit.WantError(t, name, testkit.Next(t, first), net.ErrClosed)
			testkit.WantError(t, name+" beside it", testkit.Next(t, second), net.ErrClosed)
			testkit.Must(t, l.Queue.Close())
			testkit.WantError(t, name+" after Close", receive(l.Queue), net.ErrClosed)
			endtoend.OpenQueue(t, l.Net, nfqueue.Config{}) // the kernel has it back
		})
	}
}

func TestCloseInTheHandlerEndsRun(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.SendNumbers(t, l.From, 0, 5)
	calls := 0
	err := testkit.Next(t, testkit.Background(func() error {
		return l.Queue.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
			calls++
			if err := l.Queue.Close(); err != nil {
				t.Error(err)
			}
			return nfqueue.Accept()
		})
	}))
	testkit.WantError(t, "Run", err, net.ErrClosed)
	if calls != 1 {
		t.Errorf("the handler was called %d times, want once: no verdict goes anywhere after that", calls)
	}
}

func TestCloseInOnErrorEndsRun(t *testing.T) {
	var q *nfqueue.Queue
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{
		OnError: func(error) { q.Close() },
		Socket:  nfnl.Config{ReadBuffer: 8 << 10},
	})
	q = l.Queue
	endtoend.SendNumbers(t, l.From, 0, 200)
	endtoend.AcceptWaiting(t, q)
	endtoend.Send(t, l.From, "behind the gap")
	err := testkit.Next(t, testkit.Background(func() error { return q.Run(context.Background(), endtoend.Accept) }))
	testkit.WantError(t, "Run", err, net.ErrClosed)
}

// Close comes while packets stream in, while verdicts are being sent, and while
// tickets are answered: everything ends, with net.ErrClosed and nothing else.
func TestCloseUnderFlood(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	testkit.Must(t, l.Queue.Close())
	endtoend.Flood(t, l.From)
	for round := range 20 {
		q := endtoend.OpenQueue(t, l.Net, nfqueue.Config{})
		tickets := make(chan nfqueue.Ticket, 100)
		ended := []<-chan error{
			testkit.Background(func() error { return endtoend.ReceiveLoop(q, nfqueue.Accept()) }),
			testkit.Background(func() error {
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
			testkit.Background(func() (err error) {
				for ticket := range tickets {
					err = ticket.SetVerdict(nfqueue.Accept())
				}
				return err
			}),
		}
		testkit.Await(t, "packets", func() bool { return q.Stats().Packets > uint64(round*50) })
		testkit.Must(t, q.Close())
		testkit.WantError(t, "Receive or Send", testkit.Next(t, ended[0]), net.ErrClosed)
		testkit.WantError(t, "Run", testkit.Next(t, ended[1]), net.ErrClosed)
		if err := testkit.Next(t, ended[2]); err != nil {
			testkit.WantError(t, "Ticket.SetVerdict", err, net.ErrClosed)
		}
	}
}
