package nfqueue_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

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
