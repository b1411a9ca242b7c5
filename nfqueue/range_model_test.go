package nfqueue_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// A model knows which verdict each packet must get: its owner's.
type model struct {
	t      testing.TB
	mu     sync.Mutex
	chosen map[uint32]nfqueue.Verdict
}

// choose notes the verdict of who has decided on a packet. For a handler that is
// only so if nobody was faster.
func (m *model) choose(id uint32, v nfqueue.Verdict, handler bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.chosen[id]; taken && handler {
		return
	}
	m.chosen[id] = v
}

// settle waits until all packets up to last have a verdict.
func settle(k *nfqueuetest.Kernel, last uint32) {
	for id := uint32(1); id <= last; id++ {
		k.Verdict(id)
	}
}

// check checks the verdicts on all packets up to last, when everybody has noted
// what they chose.
func (m *model) check(k *nfqueuetest.Kernel, last uint32) {
	m.t.Helper()
	wrong := 0
	for id := uint32(1); id <= last; id++ {
		got := k.Verdict(id)
		m.mu.Lock()
		want, ok := m.chosen[id]
		m.mu.Unlock()
		if !ok || !got.Equal(want) {
			if wrong++; wrong < 10 {
				m.t.Errorf("packet %d got %v, its owner chose %v (%v)", id, got, want, ok)
			}
		}
	}
}

// answer decides on a packet from outside of its handler, and notes it if that
// was in time.
func (m *model) answer(set func(nfqueue.Verdict) error, id uint32, v nfqueue.Verdict) {
	switch err := set(v); {
	case err == nil:
		m.choose(id, v, false)
	case !errors.Is(err, nfqueue.ErrDecided):
		m.t.Error(err)
	}
}

// The handler says accept, in long runs. Others decide at the same time on
// packets that it has not got to yet: their verdicts stand.
func TestRunsCatchNoPacketOfOthers(t *testing.T) {
	m := &model{t: t, chosen: map[uint32]nfqueue.Verdict{}}
	q, k := open(t, nfqueue.Config{RangeVerdicts: true})
	wanted := make(chan uint32, 100)
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for id := range wanted {
				v := nfqueue.Drop().WithMark(id)
				m.answer(func(v nfqueue.Verdict) error { return q.SetVerdict(id, v) }, id, v)
			}
		})
	}
	stop := start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID%4 == 0 {
			select {
			case wanted <- p.ID + 2: // is there, or on its way
			default:
			}
		}
		m.choose(p.ID, nfqueue.Accept(), true)
		return nfqueue.Accept()
	})
	enqueueAll(k)
	settle(k, stressPackets)
	stop()
	close(wanted)
	others.Wait()
	m.check(k, stressPackets)
	if s := q.Stats(); s.Gone+s.Refused+s.Lost+s.Fallbacks != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Runs come and go, a loop receives beside them, packets are held, for a time
// or not, and answered by others.
func TestEveryPacketGetsItsOwnersVerdict(t *testing.T) {
	m := &model{t: t, chosen: map[uint32]nfqueue.Verdict{}}
	q, k := open(t, nfqueue.Config{Batch: 16, RangeVerdicts: true})
	tickets := make(chan nfqueue.Ticket, stressPackets)
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for ticket := range tickets {
				v := nfqueue.Stop().WithMark(ticket.ID())
				m.answer(ticket.SetVerdict, ticket.ID(), v)
			}
		})
	}
	handler := func(p *nfqueue.Packet) nfqueue.Verdict {
		v := nfqueue.Accept()
		switch {
		case p.ID%50 == 0:
			tickets <- p.Ticket()
			return nfqueue.Hold()
		case p.ID%50 == 20:
			// Whoever is first: for the fallback the model says so beforehand.
			fallback := nfqueue.Drop().WithPriority(p.ID)
			m.choose(p.ID, fallback, true)
			tickets <- p.Ticket()
			return nfqueue.HoldFor(50*time.Microsecond, fallback)
		case p.ID%100 > 70:
			v = nfqueue.Drop()
		}
		m.choose(p.ID, v, true)
		return v
	}
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() { // Runs that end and begin
		for ctx.Err() == nil {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			if err := q.Run(short, handler); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			cancel()
		}
	})
	loops.Go(func() {
		if err := q.Run(ctx, handler); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	loops.Go(func() {
		b := q.NewBatch()
		for ctx.Err() == nil {
			if err := q.TryReceive(b); err != nil {
				t.Error(err)
			}
			for i := range b.Packets {
				b.Verdicts[i] = handler(&b.Packets[i])
			}
			runtime.Gosched()
		}
		if err := q.Send(b); err != nil {
			t.Error(err)
		}
	})
	enqueueAll(k)
	settle(k, stressPackets)
	cancel()
	loops.Wait()
	close(tickets)
	others.Wait()
	m.check(k, stressPackets)
	if s := q.Stats(); s.Gone+s.Refused+s.Lost+s.Fallbacks != 0 || s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestNoAllocsForRuns(t *testing.T) {
	skipUnderRace(t)
	const runs, batch = 50, 8
	q := sink(t, nfqueue.Config{Batch: batch, RangeVerdicts: true}, (runs+2)*batch)
	b := q.NewBatch()
	cycle := func() {
		if err := q.Receive(b); err != nil || len(b.Packets) == 0 {
			t.Fatalf("%d packets, %v", len(b.Packets), err)
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept().WithMark(uint32(i / 3))
		}
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	if n := testing.AllocsPerRun(runs, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
