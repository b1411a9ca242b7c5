//go:build linux

package faults

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A judge gives verdicts of all kinds, slowly, and knows how many packets it has
// dropped. Packets of a round it accepts.
type judge struct {
	delta   *delta
	dropped atomic.Uint64
	tickets chan nfqueue.Ticket // held packets, for another goroutine to answer
	awake   chan struct{}       // closed: until then decide waits

	rewrites bool
}

// decide is the handler.
func (j *judge) decide(p *nfqueue.Packet) nfqueue.Verdict {
	<-j.awake
	slow()
	if j.delta.meet(p.Payload) {
		return nfqueue.Accept()
	}
	switch p.ID % 8 {
	case 0, 1:
		j.dropped.Add(1)
		return nfqueue.Drop()
	case 2:
		return nfqueue.Accept().WithMark(p.ID)
	case 3:
		if j.rewrites {
			return nfqueue.Accept().WithPayload(p.Payload)
		}
	case 4:
		select {
		case j.tickets <- p.Ticket():
			return nfqueue.Hold()
		default:
		}
	case 5:
		j.dropped.Add(1)
		return nfqueue.HoldFor(time.Millisecond, nfqueue.Drop())
	}
	return nfqueue.Accept()
}

// answer accepts held packets until there are no more to come.
func (j *judge) answer(t *testing.T) {
	for ticket := range j.tickets {
		if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is the bottleneck, here a handler that is asleep at first and slow
// ever after, and whatever becomes of the packets: what was sent
// is what was let through, dropped by a verdict, and counted as lost. And as
// soon as the flood is over, all packets get through.
func TestQueuedPacketsAreAccountedForUnderOverload(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    nfqueue.Config
		queues int
	}{
		{"full queue", nfqueue.Config{MaxLen: 100, MaxHeld: 100}, 1},
		{"full queue, FailOpen", nfqueue.Config{MaxLen: 100, MaxHeld: 100, FailOpen: true}, 1},
		{"full socket", nfqueue.Config{Socket: nfnl.Config{ReadBuffer: 64 << 10}}, 1},
		{"full socket, FailOpen", nfqueue.Config{Socket: nfnl.Config{ReadBuffer: 64 << 10}, FailOpen: true}, 1},
		{"several queues", nfqueue.Config{MaxLen: 100, MaxHeld: 100}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			qs := endtoend.OpenRange(t, n, c.cfg, c.queues)
			d := newDelta(t, n, lab.Queues(0, uint16(c.queues)))
			j := judge{delta: d, tickets: make(chan nfqueue.Ticket, 1000), awake: make(chan struct{}), rewrites: !endtoend.ForbidsRewrites(t)}
			answered := testkit.Background(func() error { j.answer(t); return nil })
			ctx, cancel := context.WithCancel(context.Background())
			done := testkit.Background(func() error { return qs.Run(ctx, j.decide) })

			d.flood(t, *floodPackets/2)
			close(j.awake)
			d.flood(t, *floodPackets/2)
			d.last(t)
			flooded := settle(t, &j, qs, c.cfg.FailOpen)
			flooded.wantOverload(t, c.cfg)
			if !d.round(t, testkit.Patience) {
				t.Error("packets get lost after the flood")
			}
			after := settle(t, &j, qs, c.cfg.FailOpen)
			if after.out != flooded.out+senders || after.missing() != flooded.missing() {
				t.Errorf("%d packets after the flood: %+v, before them %+v", senders, after, flooded)
			}
			cancel()
			testkit.WantError(t, "Run", testkit.Next(t, done), context.Canceled)
			close(j.tickets)
			testkit.Next(t, answered)
			wantAccounted(t, &j, qs, c.cfg.FailOpen)
		})
	}
}

// A tally is what has become of the packets that came in.
type tally struct {
	in, out, dropped uint64
	nfqueue.Stats
}

func (j *judge) count(t *testing.T, qs *nfqueue.Queues) tally {
	t.Helper()
	return tally{endtoend.Packets(t, j.delta.in), endtoend.Packets(t, j.delta.out), j.dropped.Load(), qs.Stats()}
}

// missing returns how many packets no handler has seen.
func (c tally) missing() uint64 { return c.in - c.Packets }

// settle waits until the verdict on each packet has been carried out, and returns
// what became of them. With FailOpen, packets without one pass too.
func settle(t *testing.T, j *judge, qs *nfqueue.Queues, failOpen bool) (c tally) {
	t.Helper()
	testkit.Await(t, "verdicts on all packets", func() bool {
		c = j.count(t, qs)
		decided := c.Packets
		if failOpen {
			decided = c.in
		}
		return c.Held == 0 && c.out+c.dropped == decided
	})
	return c
}

// wantOverload checks that packets found no room where the queue has little.
func (c tally) wantOverload(t *testing.T, cfg nfqueue.Config) {
	t.Helper()
	atSocket, inQueue := c.Lost, c.missing()-c.Lost
	if cfg.MaxLen > 0 && inQueue == 0 || cfg.Socket.ReadBuffer > 0 && atSocket == 0 {
		t.Errorf("%d packets found no room on the socket, %d in the queue: this was no overload", atSocket, inQueue)
	}
}

// wantAccounted checks the sum.
func wantAccounted(t *testing.T, j *judge, qs *nfqueue.Queues, failOpen bool) {
	t.Helper()
	c := j.count(t, qs)
	full, lost, known := uint64(0), uint64(0), true
	for i := range qs.Len() {
		k, ok := endtoend.KernelStats(t, qs.Queue(i))
		full, lost, known = full+uint64(k.Full), lost+uint64(k.Lost), known && ok
		if qs.Queue(i).Stats().Packets == 0 {
			t.Errorf("queue %d saw no packets", i)
		}
	}
	t.Logf("%d in = %d let through + %d dropped + %d lost at the socket (%d let through all the same) + %d in the full queue",
		c.in, c.out, c.dropped, c.Lost, c.Bypassed, full)
	if c.in != j.delta.sent {
		t.Errorf("%d packets sent, but %d came in", j.delta.sent, c.in)
	}
	if sum := c.out + c.dropped + c.Lost - c.Bypassed + full; known && c.in != sum {
		t.Errorf("%d packets came in, but %d are accounted for", c.in, sum)
	}
	if known && !failOpen && lost != c.Lost {
		t.Errorf("%d lost at the socket, but the kernel says %d", c.Lost, lost)
	}
	if failOpen != (c.Bypassed == c.Lost) && c.Lost > 0 {
		t.Errorf("%d of %d lost packets were let through, with FailOpen %v", c.Bypassed, c.Lost, failOpen)
	}
	if c.Malformed+c.Refused+c.Gone+c.Fallbacks > 0 || c.Held > 0 {
		t.Errorf("stats %+v", c.Stats)
	}
}
