package nfqueue_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// always is a handler that always returns v.
func always(v nfqueue.Verdict) nfqueue.Handler {
	return func(*nfqueue.Packet) nfqueue.Verdict { return v }
}

func TestExpiredPacketGetsItsFallback(t *testing.T) {
	for _, v := range []nfqueue.Verdict{
		nfqueue.Drop(), nfqueue.Accept(), nfqueue.Stop(), nfqueue.Repeat().WithMark(1), nfqueue.Requeue(9),
		nfqueue.RequeueOrAccept(9), nfqueue.Accept().WithMark(7).WithPriority(6),
	} {
		t.Run(v.String(), func(t *testing.T) {
			const d = 10 * time.Millisecond
			q, k := open(t, nfqueue.Config{Fallback: nfqueue.Drop().WithMark(99)})
			began := make(chan time.Time, 1)
			start(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
				began <- time.Now()
				return nfqueue.HoldFor(d, v)
			})
			id := k.Enqueue(packet("x"))
			wantVerdict(t, k, id, v)
			if after := time.Since(<-began); after < d {
				t.Errorf("it expired after %v", after)
			}
			testkit.Await(t, "Stats.Expired is 1", func() bool { return q.Stats().Expired == 1 })
			if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.Fallbacks != 0 || s.Refused != 0 {
				t.Errorf("stats %+v", s)
			}
			if err := q.SetVerdict(id, nfqueue.Accept()); !errors.Is(err, nfqueue.ErrDecided) {
				t.Errorf("it took another verdict: %v", err)
			}
		})
	}
}

func TestPacketsExpireInTheOrderOfTheirDeadlines(t *testing.T) {
	q, w := tap(t, nfqueue.Config{})
	w.deliver(t, 1, 4)
	// 2, 4, 1, and 3 never.
	after := []time.Duration{60 * time.Millisecond, 20 * time.Millisecond, time.Hour, 40 * time.Millisecond}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.HoldFor(after[p.ID-1], nfqueue.Accept())
	})
	var got []uint32
	for len(got) < 3 {
		got = append(got, verdictIDs(t, testkit.Next(t, w.sends))...)
	}
	if !slices.Equal(got, []uint32{2, 4, 1}) {
		t.Errorf("expired in the order %v", got)
	}
	if n := q.Stats().Held; n != 1 {
		t.Errorf("%d are held", n)
	}
}

// later waits until a packet of another queue has expired after d, for as long
// as a test must wait for what must not happen.
func later(t testing.TB, d time.Duration) {
	t.Helper()
	q, k := open(t, nfqueue.Config{})
	start(t, q, always(nfqueue.HoldFor(d, nfqueue.Accept())))
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
}

func TestAnsweredPacketDoesNotExpire(t *testing.T) {
	const d = 200 * time.Millisecond // longer than a loaded machine takes to answer
	q, w := tap(t, nfqueue.Config{})
	w.deliver(t, 1, 1)
	tickets := make(chan nfqueue.Ticket, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		return nfqueue.HoldFor(d, nfqueue.Drop())
	})
	if err := testkit.Next(t, tickets).SetVerdict(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	w.wantSent(t, "1 accept")
	later(t, 2*d)
	if n := len(w.sends); n != 0 {
		t.Errorf("%d sends more", n)
	}
	if s := q.Stats(); s.Expired != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestHoldForNothingExpiresAtOnce(t *testing.T) {
	for _, d := range []time.Duration{0, -1, math.MinInt64} {
		q, k := open(t, nfqueue.Config{})
		start(t, q, always(nfqueue.HoldFor(d, nfqueue.Stop())))
		wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Stop())
	}
}

func TestHoldForAlmostEver(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	start(t, q, always(nfqueue.HoldFor(math.MaxInt64, nfqueue.Drop())))
	id := k.Enqueue(packet("x"))
	testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
	later(t, time.Millisecond)
	if err := q.SetVerdict(id, nfqueue.Stop()); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
}

// Thousands of packets expire at one moment, in pieces that leave room on the
// socket for the kernel's refusals, and no goroutine waits for each meanwhile.
func TestThousandsExpireInPieces(t *testing.T) {
	const packets = 2000
	q, w := tap(t, nfqueue.Config{})
	w.deliver(t, 1, packets)
	before := runtime.NumGoroutine()
	holdUntil(t, q, packets, time.Now().Add(300*time.Millisecond))
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines to hold packets", n-before)
	}
	seen := map[uint32]bool{}
	for len(seen) < packets {
		ids := verdictIDs(t, testkit.Next(t, w.sends))
		if len(ids) == 0 || len(ids) > 256 {
			t.Fatalf("%d verdicts in one send", len(ids))
		}
		for _, id := range ids {
			if seen[id] {
				t.Errorf("packet %d expired twice", id)
			}
			seen[id] = true
		}
	}
	testkit.Await(t, "Stats.Expired is packets", func() bool { return q.Stats().Expired == packets })
	if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

// holdAll holds n packets that are on the socket, by v.
func holdAll(t testing.TB, q *nfqueue.Queue, n uint64, v nfqueue.Verdict) {
	t.Helper()
	holdEach(t, q, n, func() nfqueue.Verdict { return v })
}

// holdUntil holds n packets that are on the socket until a moment, and then
// accepts them.
func holdUntil(t testing.TB, q *nfqueue.Queue, n uint64, moment time.Time) {
	t.Helper()
	holdEach(t, q, n, func() nfqueue.Verdict { return nfqueue.HoldFor(time.Until(moment), nfqueue.Accept()) })
}

// holdEach gives v to n packets that are on the socket.
func holdEach(t testing.TB, q *nfqueue.Queue, n uint64, v func() nfqueue.Verdict) {
	t.Helper()
	for b := q.NewBatch(); q.Stats().Packets < n; {
		if err := q.Receive(b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = v()
		}
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExpiredPacketsThatAreGone(t *testing.T) {
	const packets = 600
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for range packets {
		k.Enqueue(packet("x"))
	}
	k.Flush()
	holdAll(t, q, packets, nfqueue.HoldFor(0, nfqueue.Accept()))
	testkit.Await(t, "Stats.Expired is packets", func() bool { return q.Stats().Expired == packets })
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	testkit.Await(t, "Stats.Gone is packets", func() bool { return q.Stats().Gone == packets })
	for _, err := range reported.Take() {
		if !errors.Is(err, nfqueue.ErrPacketGone) && !errors.Is(err, nfqueue.ErrExpired) {
			t.Errorf("OnError was called with %v", err)
		}
	}
}

func TestCloseForgetsHeldPackets(t *testing.T) {
	const d = 20 * time.Millisecond
	reported := new(testkit.Errors)
	q, w := tap(t, nfqueue.Config{OnError: reported.Add})
	w.deliver(t, 1, 3)
	holdAll(t, q, 3, nfqueue.HoldFor(d, nfqueue.Accept()))
	q.Close()
	if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
	later(t, 2*d)
	if n := len(w.sends); n != 0 || q.Stats().Expired != 0 {
		t.Errorf("%d sends, stats %+v", n, q.Stats())
	}
	reported.WantNoMore(t)
}

// Answers and expiry meet: whoever takes the packet decides, and the other is
// told, or sends nothing.
func TestAnswerAndExpiryAtOnce(t *testing.T) {
	m := &model{t: t, chosen: map[uint32]nfqueue.Verdict{}}
	q, k := open(t, nfqueue.Config{})
	tickets := make(chan nfqueue.Ticket)
	var deciders sync.WaitGroup
	for range 3 {
		deciders.Go(func() {
			for ticket := range tickets {
				for range rand.IntN(20) {
					runtime.Gosched()
				}
				m.answer(ticket.SetVerdict, ticket.ID(), nfqueue.Accept().WithMark(ticket.ID()))
			}
		})
	}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		fallback := nfqueue.Drop().WithMark(p.ID)
		m.choose(p.ID, fallback, true)
		select {
		case tickets <- p.Ticket():
		case <-time.After(50 * time.Microsecond): // they are late as it is
		}
		return nfqueue.HoldFor(time.Duration(rand.IntN(50))*time.Microsecond, fallback)
	})
	enqueueAll(k)
	settle(k, stressPackets)
	close(tickets)
	deciders.Wait()
	m.check(k, stressPackets)
	testkit.Await(t, "Stats.Held is 0", func() bool { return q.Stats().Held == 0 })
	s := q.Stats()
	if s.HeldBytes != 0 || s.Gone+s.Refused+s.Fallbacks != 0 {
		t.Errorf("stats %+v", s)
	}
	if s.Expired == 0 || s.Expired == stressPackets {
		t.Logf("%d expired: there was no race", s.Expired)
	}
}
