package nfqueue_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// errSend is what a failing kernel's Send returns.
var errSend = errors.New("no room")

// A failer is a wiretap on which Send fails while fail is set.
type failer struct {
	wiretap
	fail   atomic.Bool
	failed chan time.Time // when
}

// failing returns queue 7 on a failer.
func failing(t testing.TB, cfg nfqueue.Config) (*nfqueue.Queue, *failer) {
	t.Helper()
	f := &failer{failed: make(chan time.Time, 1000)}
	q, w := tapUnless(t, cfg, func() error {
		if !f.fail.Load() {
			return nil
		}
		f.failed <- time.Now()
		return errSend
	})
	f.wiretap = w
	return q, f
}

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

func TestFallbackOfHoldForMustFitEveryPacket(t *testing.T) {
	const d = time.Hour
	for name, v := range map[string]nfqueue.Verdict{
		"Hold":              nfqueue.HoldFor(d, nfqueue.Hold()),
		"HoldFor":           nfqueue.HoldFor(d, nfqueue.HoldFor(d, nfqueue.Accept())),
		"a payload":         nfqueue.HoldFor(d, nfqueue.Accept().WithPayload(udpPacket("y"))),
		"a raw payload":     nfqueue.HoldFor(d, nfqueue.Accept().WithRawPayload(udpPacket("y"))),
		"a tag":             nfqueue.HoldFor(d, nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100})),
		"a link header":     nfqueue.HoldFor(d, nfqueue.Accept().WithLinkHeader(make([]byte, 14))),
		"conntrack":         nfqueue.HoldFor(d, nfqueue.Accept().WithConntrackMark(1, 0xffffffff)),
		"0, and Hold":       nfqueue.HoldFor(0, nfqueue.Hold()),
		"a payload later":   nfqueue.HoldFor(0, nfqueue.Accept()).WithRawPayload(udpPacket("y")),
		"a tag later":       nfqueue.HoldFor(0, nfqueue.Accept()).WithVLAN(attr.VLAN{Protocol: 0x8100}),
		"conntrack later":   nfqueue.HoldFor(0, nfqueue.Accept()).WithConntrackMark(1, 0xffffffff),
		"link header later": nfqueue.HoldFor(0, nfqueue.Accept()).WithLinkHeader(make([]byte, 14)),
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add, ConntrackVerdicts: true})
			start(t, q, always(v))
			wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
			reported.Next(t, nfqueue.ErrHoldFallback)
			if s := q.Stats(); s.Refused != 1 || s.Fallbacks != 1 || s.Expired != 0 || s.Held != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestMarkOfHoldForIsTheFallbacks(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	start(t, q, always(nfqueue.HoldFor(0, nfqueue.Accept().WithPriority(3)).WithMark(7)))
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept().WithPriority(3).WithMark(7))
}

func TestHoldForSaysWhatItDoes(t *testing.T) {
	for want, v := range map[string]nfqueue.Verdict{
		"hold for 1.5s, then accept, mark 0x7": nfqueue.HoldFor(1500*time.Millisecond, nfqueue.Accept().WithMark(7)),
		"hold for 0s, then requeue to 9":       nfqueue.HoldFor(0, nfqueue.Requeue(9)),
		"hold":                                 nfqueue.Hold(),
	} {
		if got := v.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHoldsAreEqualIfTheyDoTheSame(t *testing.T) {
	all := []nfqueue.Verdict{
		nfqueue.Hold(), nfqueue.HoldFor(0, nfqueue.Drop()), nfqueue.HoldFor(1, nfqueue.Drop()),
		nfqueue.HoldFor(1, nfqueue.Accept()), nfqueue.HoldFor(1, nfqueue.Accept().WithMark(1)),
	}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%v equals %v: %v", a, b, i != j)
			}
		}
	}
	if !nfqueue.HoldFor(-5, nfqueue.Drop()).Equal(nfqueue.HoldFor(0, nfqueue.Drop())) {
		t.Error("a time below 0 is not 0")
	}
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

func TestExpiryThatIsNotSentLeavesThePacketHeld(t *testing.T) {
	reported := new(testkit.Errors)
	q, f := failing(t, nfqueue.Config{OnError: reported.Add})
	f.deliver(t, 1, 1)
	start(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		f.fail.Store(true)
		return nfqueue.HoldFor(0, nfqueue.Drop())
	})
	reported.Next(t, errSend)
	if s := q.Stats(); s.Held != 1 || s.HeldBytes != len(udpPacket("x")) || s.Expired != 0 {
		t.Errorf("stats %+v", s)
	}
	f.fail.Store(false)
	if err := q.SetVerdict(1, nfqueue.Accept()); err != nil {
		t.Error(err)
	}
	f.wantSent(t, "1 accept")
}

func TestExpiryThatIsNotSentIsTriedAgainEachSecond(t *testing.T) {
	q, f := failing(t, nfqueue.Config{})
	f.deliver(t, 1, 1)
	holdUntil(t, q, 1, time.Now().Add(100*time.Millisecond))
	f.fail.Store(true)
	before := testkit.Next(t, f.failed)
	for range 2 {
		again := testkit.Next(t, f.failed)
		if d := again.Sub(before); d < time.Second {
			t.Errorf("tried again after %v", d)
		}
		before = again
	}
	f.fail.Store(false)
	f.wantSent(t, "1 accept")
}

// One send that fails puts the expiry of all off, not away.
func TestPacketsDueTogetherExpireAfterASendFailed(t *testing.T) {
	const packets = 600
	reported := new(testkit.Errors)
	q, f := failing(t, nfqueue.Config{OnError: reported.Add})
	f.deliver(t, 1, packets)
	f.fail.Store(true)
	holdUntil(t, q, packets, time.Now().Add(100*time.Millisecond))
	reported.Next(t, errSend)
	f.fail.Store(false)
	testkit.Await(t, "Stats.Expired is packets", func() bool { return q.Stats().Expired == packets })
	if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Between two pieces the socket is read; that it cannot be is no reason to hold
// the rest for ever.
func TestPacketsDueTogetherExpireThoughTheSocketCannotBeRead(t *testing.T) {
	const packets = 300
	q, f := failing(t, nfqueue.Config{})
	f.deliver(t, 1, packets)
	holdUntil(t, q, packets, time.Now().Add(100*time.Millisecond))
	f.Peer.Close()
	testkit.Await(t, "Stats.Expired is packets", func() bool { return q.Stats().Expired == packets })
}

// However a verdict fails, a packet that HoldFor holds keeps its deadline and its
// share of the bytes.
func TestVerdictThatIsNotSentLeavesThePacketHeldAsItWas(t *testing.T) {
	for name, decide := range map[string]func(q *nfqueue.Queue) error{
		"SetVerdict":     func(q *nfqueue.Queue) error { return q.SetVerdict(1, nfqueue.Drop()) },
		"SetVerdictUpTo": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(1, nfqueue.Drop()) },
		"SetVerdictAll":  func(q *nfqueue.Queue) error { return q.SetVerdictAll(nfqueue.Drop()) },
	} {
		t.Run(name, func(t *testing.T) {
			q, f := failing(t, nfqueue.Config{})
			f.deliver(t, 1, 1)
			holdUntil(t, q, 1, time.Now().Add(500*time.Millisecond))
			f.fail.Store(true)
			if err := decide(q); !errors.Is(err, errSend) {
				t.Errorf("got %v", err)
			}
			if s := q.Stats(); s.Held != 1 || s.HeldBytes != len(udpPacket("x")) {
				t.Errorf("stats %+v", s)
			}
			f.fail.Store(false)
			f.wantSent(t, "1 accept")
			testkit.Await(t, "Stats.Expired is 1", func() bool { return q.Stats().Expired == 1 })
			if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
				t.Errorf("afterwards: stats %+v", s)
			}
		})
	}
}

// What is taken from a handler and cannot be sent is held, bytes and all.
func TestVerdictBeforeTheHandlersThatIsNotSentLeavesThePacketHeld(t *testing.T) {
	for name, decide := range map[string]func(q *nfqueue.Queue) error{
		"SetVerdict":     func(q *nfqueue.Queue) error { return q.SetVerdict(1, nfqueue.Drop()) },
		"SetVerdictUpTo": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(1, nfqueue.Drop()) },
	} {
		t.Run(name, func(t *testing.T) {
			q, f := failing(t, nfqueue.Config{})
			f.deliver(t, 1, 1)
			b := q.NewBatch()
			receive(t, q, b, 1)
			f.fail.Store(true)
			if err := decide(q); !errors.Is(err, errSend) {
				t.Errorf("got %v", err)
			}
			f.fail.Store(false)
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
			if s := q.Stats(); s.Held != 1 || s.HeldBytes != len(udpPacket("x")) {
				t.Errorf("stats %+v", s)
			}
			if err := q.SetVerdict(1, nfqueue.Accept()); err != nil {
				t.Error(err)
			}
			f.wantSent(t, "1 accept")
		})
	}
}

func TestHeldBytesAreThoseOfWholePackets(t *testing.T) {
	q, k := open(t, nfqueue.Config{CopyRange: 20})
	tickets := hold(t, q)
	whole := packet("hello")
	k.Enqueue(whole)
	k.Enqueue(whole)
	first := testkit.Next(t, tickets)
	testkit.Next(t, tickets)
	n := len(whole.Payload)
	testkit.Await(t, "Stats.HeldBytes is 2*n", func() bool { return q.Stats().HeldBytes == 2*n })
	if err := first.SetVerdict(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Held != 1 || s.HeldBytes != n {
		t.Errorf("stats %+v", s)
	}
}

func TestNoMoreIsHeldThanTheLimits(t *testing.T) {
	size := len(packet("x").Payload)
	for name, cfg := range map[string]nfqueue.Config{
		"packets": {MaxHeld: 3},
		"bytes":   {MaxHeldBytes: 4*size - 1},
		"both":    {MaxHeld: 3, MaxHeldBytes: 100 * size},
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			cfg.Fallback, cfg.OnError = fallback, reported.Add
			q, k := open(t, cfg)
			var ids []uint32
			for range 5 {
				ids = append(ids, k.Enqueue(packet("x")))
			}
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.ID%2 == 0 {
					return nfqueue.HoldFor(time.Hour, nfqueue.Accept())
				}
				return nfqueue.Hold()
			})
			for _, id := range ids[3:] {
				wantVerdict(t, k, id, fallback)
			}
			nextPackets(t, reported, nfqueue.ErrTooManyHeld, ids[3], 2)
			if s := q.Stats(); s.Held != 3 || s.HeldBytes != 3*size || s.Fallbacks != 2 || s.Refused != 2 {
				t.Errorf("stats %+v", s)
			}
			if left := k.Waiting(); !slices.Equal(left, ids[:3]) {
				t.Errorf("waiting are %v", left)
			}

			// An answer makes room for another.
			if err := q.SetVerdict(ids[1], nfqueue.Accept()); err != nil {
				t.Fatal(err)
			}
			k.Enqueue(packet("x"))
			testkit.Await(t, "Stats.Held is 3", func() bool { return q.Stats().Held == 3 })
			reported.WantNoMore(t)
		})
	}
}

func TestExpiryMakesRoomForHeldPackets(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{MaxHeld: 1, OnError: reported.Add})
	start(t, q, always(nfqueue.HoldFor(time.Millisecond, nfqueue.Stop())))
	for range 10 {
		id := k.Enqueue(packet("x"))
		wantVerdict(t, k, id, nfqueue.Stop())
		nextPackets(t, reported, nfqueue.ErrExpired, id, 1)
	}
	reported.WantNoMore(t)
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

// What was answered leaves nothing behind that grows.
func TestAnsweredPacketsTakeNoMemory(t *testing.T) {
	const packets = 10000
	q, w := tap(t, nfqueue.Config{})
	b := q.NewBatch()
	id := uint32(0)
	answer := func(n uint32) {
		for end := id + n; id < end; {
			id++
			w.deliver(t, id, id)
			receive(t, q, b, 1)
			b.Verdicts[0] = nfqueue.HoldFor(time.Hour, nfqueue.Drop())
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
			if err := q.SetVerdict(id, nfqueue.Accept()); err != nil {
				t.Fatal(err)
			}
			testkit.Next(t, w.sends)
		}
	}
	answer(packets / 10)
	before := heap()
	answer(packets)
	// A deadline left behind for each would take more than 32 bytes.
	if after := heap(); after > before+packets*16 {
		t.Errorf("%d bytes more after %d packets", after-before, packets)
	}
	runtime.KeepAlive(b)
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestNoAllocsPerPacketHeldForATime(t *testing.T) {
	skipUnderRace(t)
	const runs = 200
	q := sink(t, nfqueue.Config{Batch: 1}, 2*runs+2)
	b := q.NewBatch()
	cycle := func() {
		if err := q.Receive(b); err != nil {
			t.Fatal(err)
		}
		b.Verdicts[0] = nfqueue.HoldFor(time.Hour, nfqueue.Drop())
		ticket := b.Packets[0].Ticket()
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
		if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
			t.Fatal(err)
		}
	}
	for range runs { // deadlines that stay behind are taken away now and then
		cycle()
	}
	if n := testing.AllocsPerRun(runs, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for says, cfg := range map[string]nfqueue.Config{
		"Config.MaxHeld is -1":      {MaxHeld: -1},
		"Config.MaxHeldBytes is -1": {MaxHeldBytes: -1},
	} {
		if _, err := cfg.Bind(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one with %q", err, says)
		}
	}
}
