//go:build linux

package faults

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Overload is sought here: go test -run Accounted ./internal/endtoend/faults -flood 10000000
var floodPackets = flag.Int("flood", 5_000, "how many packets each accounting test sends")

// slow is what a handler does with a packet: senders are several times faster.
func slow() {
	for until := time.Now().Add(10 * time.Microsecond); time.Now().Before(until); {
	}
}

// senders is how many senders a delta has. The kernel chooses one of several
// queues by the addresses of a packet: from so many, all queues get some.
const senders = 32

// A delta is a river with many arms: senders whose datagrams pass a rule that
// counts and queues or logs them, and those that go on another that counts. The
// rules are at the hook output, where a packet has met the first one, with all
// that follows, when its sender's Write returns.
type delta struct {
	in, out *lab.Rule
	from    []net.Conn
	sent    uint64
	rounds  int               // of last packets
	seen    [16]atomic.Uint64 // how many packets of each round
}

// newDelta makes the rules and the senders, each with an address of its own.
func newDelta(t *testing.T, n *lab.Net, then lab.Term) *delta {
	t.Helper()
	d := &delta{in: endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), then)}
	behind, err := n.Chain(lab.IPv4, lab.Output, 100)
	testkit.Must(t, err)
	d.out, err = behind.Add(lab.UDP(9999))
	testkit.Must(t, err)
	to, err := n.ListenPacket("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	t.Cleanup(func() { to.Close() })
	for i := range senders {
		testkit.Must(t, n.Do(func() error {
			own := &net.UDPAddr{IP: net.IPv4(127, 0, 1, byte(i))}
			c, err := net.DialUDP("udp", own, to.LocalAddr().(*net.UDPAddr))
			d.from = append(d.from, c)
			return err
		}))
		t.Cleanup(func() { d.from[i].Close() })
	}
	return d
}

// flood sends about so many packets, from all senders, as fast as all processors
// can.
func (d *delta) flood(t *testing.T, packets int) {
	t.Helper()
	var flooders sync.WaitGroup
	each := packets / runtime.NumCPU()
	for i := range runtime.NumCPU() {
		flooders.Go(func() {
			for j := range each {
				if _, err := d.from[(i+j)%senders].Write([]byte("flood")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	flooders.Wait()
	d.sent += uint64(each * runtime.NumCPU())
}

// last sends one packet more from each sender, until none of them gets lost. What
// was lost before them is known then, and nothing is behind them.
func (d *delta) last(t *testing.T) {
	t.Helper()
	for wait := 50 * time.Millisecond; wait < testkit.Patience; wait *= 2 {
		if d.round(t, wait) {
			return
		}
	}
	t.Fatal("the flood is over, but packets still get lost")
}

// round sends one packet from each sender, and reports whether all are met in
// time.
func (d *delta) round(t *testing.T, wait time.Duration) bool {
	t.Helper()
	d.rounds++
	for _, c := range d.from {
		endtoend.Send(t, c, "last"+string(rune(d.rounds)))
		d.sent++
	}
	for end := time.Now().Add(wait); d.seen[d.rounds].Load() < senders; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// meet is told of each packet that a reader sees, and reports whether it is one
// of a round.
func (d *delta) meet(payload []byte) bool {
	round, ok := bytes.CutPrefix(payload[endtoend.IPv4.Headers:], []byte("last"))
	if ok {
		d.seen[round[0]].Add(1)
	}
	return ok
}

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

// With a reader that is too slow, and asleep at first, every packet was either
// read or is missing in the sequence, to the packet.
func TestLoggedPacketsAreAccountedForUnderOverload(t *testing.T) {
	for _, threshold := range []uint32{1, 64} {
		t.Run(fmt.Sprintf("threshold %d", threshold), func(t *testing.T) {
			n := endtoend.NewNet(t)
			r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: threshold, Socket: nfnl.Config{ReadBuffer: 128 << 10}})
			d := newDelta(t, n, lab.Log(5, "", 0, 0))
			ctx, cancel := context.WithCancel(context.Background())
			var read atomic.Uint64
			awake := make(chan struct{})
			done := testkit.Background(func() error {
				for p, err := range r.Packets(ctx) {
					if err != nil {
						return err
					}
					<-awake
					slow()
					read.Add(1)
					d.meet(p.Payload)
				}
				return nil
			})
			d.flood(t, *floodPackets/2)
			close(awake)
			d.flood(t, *floodPackets/2)
			d.last(t)
			lost := r.Stats().Lost
			if !d.round(t, testkit.Patience) || r.Stats().Lost != lost {
				t.Error("packets get lost after the flood")
			}
			cancel()
			testkit.WantError(t, "Packets", testkit.Next(t, done), context.Canceled)

			in, s := endtoend.Packets(t, d.in), r.Stats()
			if lost == 0 {
				t.Error("nothing was lost: this was no overload")
			}
			if in != d.sent {
				t.Errorf("%d packets sent, but %d came in", d.sent, in)
			}
			t.Logf("%d in = %d read + %d lost", in, read.Load(), s.Lost)
			if read.Load() != s.Packets || s.Packets+s.Lost != in {
				t.Errorf("%d packets logged, %d read, stats %+v", in, read.Load(), s)
			}
			if out := endtoend.Packets(t, d.out); out != in {
				t.Errorf("%d packets logged, but %d went on", in, out)
			}
		})
	}
}
