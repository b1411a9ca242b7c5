package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// stressPackets are enqueued in the stress tests.
const stressPackets = 3000

// mixed answers a third of the packets at once, holds a third for the
// deciders, and decides on a third by ticket before it returns.
func mixed(t testing.TB, tickets chan<- nfqueue.Ticket) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID % 3 {
		case 0:
			return nfqueue.Accept()
		case 1:
			tickets <- p.Ticket()
			return nfqueue.Hold()
		}
		if err := p.Ticket().SetVerdict(nfqueue.Accept()); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		return nfqueue.Drop() // too late
	}
}

// decide decides on held packets until tickets is closed.
func decide(t testing.TB, q *nfqueue.Queue, tickets <-chan nfqueue.Ticket) {
	for ticket := range tickets {
		if err := ticket.SetVerdict(nfqueue.Accept()); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := ticket.SetVerdict(nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		q.Stats()
	}
}

// enqueueAll enqueues the packets, from two goroutines.
func enqueueAll(k *nfqueuetest.Kernel) {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range stressPackets / 2 {
				k.Enqueue(packet("x"))
			}
		})
	}
	wg.Wait()
}

func TestEveryPacketGetsOneVerdict(t *testing.T) {
	q, k := open(t, nfqueue.Config{Batch: 8})
	tickets := make(chan nfqueue.Ticket)
	var deciders sync.WaitGroup
	for range 4 {
		deciders.Go(func() { decide(t, q, tickets) })
	}
	var stops []func() error
	for range 3 {
		stops = append(stops, start(t, q, mixed(t, tickets)))
	}
	enqueueAll(k)
	for id := uint32(1); id <= stressPackets; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	for _, stop := range stops {
		if err := stop(); err != context.Canceled {
			t.Errorf("Run returned %v", err)
		}
	}
	close(tickets)
	deciders.Wait()
	if s := q.Stats(); s.Packets != stressPackets || s.Held != 0 || s.Gone+s.Refused+s.Fallbacks+s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Beside several Runs and tickets, Configure, Granted, Stats and the rest change
// nothing of it: each packet comes to one handler, and gets one verdict.
func TestNoPacketIsHandedOutTwice(t *testing.T) {
	var seen sync.Map
	q, k := open(t, nfqueue.Config{Batch: 8})
	tickets := make(chan nfqueue.Ticket)
	var deciders, others sync.WaitGroup
	for range 4 {
		deciders.Go(func() { decide(t, q, tickets) })
	}
	answer := mixed(t, tickets)
	var stops []func() error
	for range 3 {
		stops = append(stops, start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			if _, twice := seen.LoadOrStore(p.ID, true); twice {
				t.Errorf("packet %d was handed out twice", p.ID)
			}
			return answer(p)
		}))
	}
	for i := range 2 {
		others.Go(func() {
			for n := range 100 {
				cfg := q.Config()
				cfg.CopyRange, cfg.Owner = uint32(1000+n), i == 0
				if err := q.Configure(cfg); err != nil {
					t.Error(err)
				}
				q.Stats()
				if _, err := q.Links(); !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("Links: %v", err)
				}
			}
		})
	}
	enqueueAll(k)
	for id := uint32(1); id <= stressPackets; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	others.Wait()
	for _, stop := range stops {
		stop()
	}
	close(tickets)
	deciders.Wait()
	if s := q.Stats(); s.Packets != stressPackets || s.Held != 0 || s.Gone+s.Refused+s.Fallbacks+s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCloseAmidEverything(t *testing.T) {
	q, k := open(t, nfqueue.Config{Batch: 8})
	tickets := make(chan nfqueue.Ticket)
	var deciders, runs sync.WaitGroup
	for range 4 {
		deciders.Go(func() { decide(t, q, tickets) })
	}
	for range 3 {
		runs.Go(func() {
			if err := q.Run(t.Context(), mixed(t, tickets)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
	runs.Go(func() { enqueueAll(k) })
	k.Verdict(100)
	q.Close()
	runs.Wait()
	close(tickets)
	deciders.Wait()
}

// A lone receiver gives one verdict to many packets with one message. It must not
// reach those that a ticket has taken from it.
func TestTicketAtTheLastMomentWins(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := make(chan nfqueue.Ticket, stressPackets)
	var won sync.Map
	var deciders sync.WaitGroup
	for range 2 {
		deciders.Go(func() {
			for ticket := range tickets {
				err := ticket.SetVerdict(nfqueue.Accept().WithMark(ticket.ID()))
				if err == nil {
					won.Store(ticket.ID(), true)
				} else if !errors.Is(err, nfqueue.ErrDecided) {
					t.Error(err)
				}
			}
		})
	}
	enqueueAll(k)
	for b := q.NewBatch(); len(k.Waiting()) > 0; {
		if err := q.TryReceive(b); err != nil {
			t.Fatal(err)
		}
		for i, n := 0, len(b.Packets); i < n; i++ {
			b.Verdicts[i] = nfqueue.Accept()
			tickets <- b.Packets[(i+n/2)%n].Ticket() // from the middle on
		}
		testkit.Await(t, "the others take tickets", func() bool { return len(tickets) < max(len(b.Packets), 1) }) // they are at it
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	close(tickets)
	deciders.Wait()
	wins := 0
	for id := uint32(1); id <= stressPackets; id++ {
		want := nfqueue.Accept()
		if _, ok := won.Load(id); ok {
			want = want.WithMark(id)
			wins++
		}
		wantVerdict(t, k, id, want)
	}
	t.Logf("%d of %d tickets were in time", wins, stressPackets)
}
