package nfqueue_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

func TestVerdictUpToDecidesOnHeldPackets(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	held(t, q, k, 4)
	if err := q.SetVerdictUpTo(3, nfqueue.Accept().WithMark(9).WithPriority(8)); err != nil {
		t.Fatal(err)
	}
	for id := uint32(1); id <= 3; id++ {
		wantVerdict(t, k, id, nfqueue.Accept().WithMark(9).WithPriority(8))
		if err := q.SetVerdict(id, nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
			t.Errorf("packet %d took another verdict: %v", id, err)
		}
	}
	if s := q.Stats(); s.Held != 1 || !slices.Equal(k.Waiting(), []uint32{4}) {
		t.Errorf("%d are held, waiting are %v", s.Held, k.Waiting())
	}
	if err := q.SetVerdict(4, nfqueue.Drop()); err != nil {
		t.Error(err)
	}
}

func TestVerdictUpToIsOneMessage(t *testing.T) {
	q, w := tap(t, nfqueue.Config{})
	w.deliver(t, 1, 3)
	start(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Hold() })
	testkit.Await(t, "Stats.Held is 3", func() bool { return q.Stats().Held == 3 })
	if err := q.SetVerdictUpTo(3, nfqueue.Repeat()); err != nil {
		t.Fatal(err)
	}
	w.wantSent(t, "..3 repeat")
	if n := len(w.sends); n > 0 {
		t.Errorf("%d sends more", n)
	}
}

func TestVerdictUpToAcrossTheWrapOfIDs(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	k.SetNextID(0xfffffffe)
	held(t, q, k, 4)
	if err := q.SetVerdictUpTo(0, nfqueue.Stop()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{0xfffffffe, 0xffffffff, 0} {
		wantVerdict(t, k, id, nfqueue.Stop())
	}
	if s := q.Stats(); s.Held != 1 || !slices.Equal(k.Waiting(), []uint32{1}) {
		t.Errorf("%d are held, waiting are %v", s.Held, k.Waiting())
	}
}

// The kernel goes from the oldest packet on and stops at the first that is after
// the ID, which is not the same as all that are not after it. What is off our
// lists is what it took.
func TestVerdictUpToStopsWhereTheKernelDoes(t *testing.T) {
	const half = 1 << 31
	for _, c := range []struct {
		waiting []uint32
		upTo    uint32
		left    int
	}{
		{[]uint32{1, 2, 3, 4, 5}, 0, 5},
		{[]uint32{1, 2, 3, 4, 5}, 5, 0},
		{[]uint32{1, 2, 3, 4, 5}, half + 1, 0},
		{[]uint32{1, 2, 3, 4, 5}, half + 2, 5},
		{[]uint32{1, 2, 3, 4, 5}, half + 3, 5}, // 3 to 5 are not after it
		{[]uint32{1, 2, 3, 4, 5}, half + 5, 5},
		{[]uint32{1, 2, 3, 4, 5}, 1<<32 - 1, 5},
		{[]uint32{half - 2, half - 1, half, half + 1}, 0, 4}, // the last two are not after it
		{[]uint32{5, half + 100}, 0, 2},
		{[]uint32{5, half + 100}, 5, 0},
		{[]uint32{5, half + 100}, 100, 0},
		{[]uint32{5, half + 100}, 101, 1},
		{[]uint32{5, half + 100}, half + 4, 1},
		{[]uint32{5, half + 100}, half + 50, 2},
		{[]uint32{5, half - 1, 1<<32 - 2, 3}, 4, 4}, // the IDs have almost come round
		{[]uint32{5, half - 1, 1<<32 - 2, 3}, half + 3, 2},
	} {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d up to %d, held %v", c.waiting, c.upTo, held), func(t *testing.T) {
				q, k := open(t, nfqueue.Config{})
				last := c.waiting[0] - 1
				for _, id := range c.waiting {
					decideOn(t, q, k, last+(id-last)/2, nfqueue.Accept()) // others come between
					if last = id; held {
						decideOn(t, q, k, id, nfqueue.Hold())
						continue
					}
					k.SetNextID(id)
					k.Enqueue(packet("x"))
					if err := q.Receive(q.NewBatch()); err != nil {
						t.Fatal(err)
					}
				}
				if err := q.SetVerdictUpTo(c.upTo, nfqueue.Accept()); err != nil {
					t.Fatal(err)
				}
				left := k.Waiting()
				if len(left) != c.left {
					t.Errorf("%d are left, want %d", left, c.left)
				}
				for _, id := range c.waiting {
					err := q.SetVerdict(id, nfqueue.Accept())
					if slices.Contains(left, id) != (err == nil) || err != nil && !errors.Is(err, nfqueue.ErrDecided) {
						t.Errorf("verdict on %d when %d are left: %v", id, left, err)
					}
				}
			})
		}
	}
}

// decideOn brings a packet with the ID, and gives v to it.
func decideOn(t testing.TB, q *nfqueue.Queue, k *nfqueuetest.Kernel, id uint32, v nfqueue.Verdict) {
	t.Helper()
	k.SetNextID(id)
	k.Enqueue(packet("x"))
	b := q.NewBatch()
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	b.Verdicts[0] = v
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
}

func TestVerdictUpToDecidesOnWhatAHandlerHas(t *testing.T) {
	q, k := open(t, nfqueue.Config{FlushAfter: time.Hour})
	for range 4 {
		k.Enqueue(packet("x"))
	}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID {
		case 1:
			return nfqueue.Drop()
		case 2: // has this and the next two
			if err := q.SetVerdictUpTo(3, nfqueue.Stop()); err != nil {
				t.Error(err)
			}
			return nfqueue.Drop()
		case 3:
			return nfqueue.Hold()
		}
		return nfqueue.Accept()
	})
	wantVerdict(t, k, 1, nfqueue.Drop()) // was decided, though not sent
	wantVerdict(t, k, 2, nfqueue.Stop())
	wantVerdict(t, k, 3, nfqueue.Stop())
	wantVerdict(t, k, 4, nfqueue.Accept())
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept()) // the batch is through
	if s := q.Stats(); s.Held != 0 || s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestVerdictUpToDecidesOnPacketsNotReceived(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	if err := q.SetVerdictUpTo(2, nfqueue.Stop()); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, 1, nfqueue.Stop())
	wantVerdict(t, k, 2, nfqueue.Stop())
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept().WithMark(p.ID) })
	wantVerdict(t, k, 3, nfqueue.Accept().WithMark(3))
	reported.Next(t, nfqueue.ErrPacketGone) // the first two are handed over all the same
	if n := q.Stats().Gone; n != 2 {
		t.Errorf("%d are gone", n)
	}
}

// A packet that arrives and is held while its verdict is under way is not held
// for ever.
func TestPacketHeldBehindVerdictUpToIsDecided(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	id := k.Enqueue(packet("x"))
	var once sync.Once
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictBatchType {
			once.Do(func() {
				b := q.NewBatch()
				receive(t, q, b, 1)
				b.Verdicts[0] = nfqueue.Hold()
				if err := q.Send(b); err != nil || q.Stats().Held != 1 {
					t.Errorf("%d are held, %v", q.Stats().Held, err)
				}
			})
		}
		return nil
	})
	if err := q.SetVerdictUpTo(id, nfqueue.Stop()); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
	if s := q.Stats(); s.Held != 0 {
		t.Errorf("%d are held", s.Held)
	}
	if err := q.SetVerdict(id, nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("it took another verdict: %v", err)
	}
	decideOn(t, q, k, id+1, nfqueue.Accept())
	reported.WantNoMore(t) // of a packet that is gone
}

// The kernel may have looked for packets before one comes that is held at once.
func TestPacketHeldTooLateForVerdictUpToIsDecided(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	var late sync.Once
	k.Refuse(func(m nfnl.Message) (answer error) {
		if m.Type == verdictBatchType {
			late.Do(func() {
				decideOn(t, q, k, 1, nfqueue.Hold())
				answer = syscall.ENOENT // there was none
			})
		}
		return answer
	})
	if err := q.SetVerdictUpTo(5, nfqueue.Stop()); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, 1, nfqueue.Stop())
	if s := q.Stats(); s.Held != 0 {
		t.Errorf("%d are held", s.Held)
	}
	decideOn(t, q, k, 2, nfqueue.Accept())
	reported.WantNoMore(t)
}
