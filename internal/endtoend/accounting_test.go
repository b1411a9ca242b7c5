//go:build linux

package endtoend

import (
	"context"
	"flag"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Overload is sought here: go test -run Accounted ./internal/endtoend -flood 10000000
var floodPackets = flag.Int("flood", 5_000, "how many packets each accounting test sends")

// slow is what a handler does with a packet: senders are several times faster.
func slow() {
	for until := time.Now().Add(10 * time.Microsecond); time.Now().Before(until); {
	}
}

// A delta is a river with many arms: senders whose datagrams pass a rule that
// counts and queues or logs them, and those that go on another that counts.
type delta struct {
	in, out *lab.Rule
	from    []net.Conn
}

// newDelta makes the rules, and four senders for each processor.
func newDelta(t *testing.T, n *lab.Net, then lab.Term) *delta {
	t.Helper()
	d := &delta{in: addRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), then)}
	behind, err := n.Chain(lab.IPv4, lab.Input, 100)
	must(t, err)
	d.out, err = behind.Add(lab.UDP(9999))
	must(t, err)
	to, err := n.ListenPacket("udp", ipv4.address())
	must(t, err)
	t.Cleanup(func() { to.Close() })
	for range 4 * runtime.NumCPU() {
		c, err := n.Dial("udp", ipv4.address())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		d.from = append(d.from, c)
	}
	return d
}

// flood sends about so many packets, from all senders, as fast as all processors
// can.
func (d *delta) flood(t *testing.T, packets int) {
	t.Helper()
	var senders sync.WaitGroup
	for i := range runtime.NumCPU() {
		senders.Go(func() {
			mine := d.from[4*i:][:4]
			for j := range packets / runtime.NumCPU() {
				if _, err := mine[j%len(mine)].Write([]byte("flood")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
}

// last sends one packet more from each sender, which tells what was lost before.
func (d *delta) last(t *testing.T) {
	t.Helper()
	for _, c := range d.from {
		send(t, c, "last")
	}
}

// packets returns how many packets a rule has counted.
func packets(t *testing.T, r *lab.Rule) uint64 {
	t.Helper()
	n, err := r.Packets()
	must(t, err)
	return n
}

// A judge gives verdicts of all kinds, slowly, and knows how many packets it has
// dropped.
type judge struct {
	dropped atomic.Uint64
	tickets chan nfqueue.Ticket // held packets, for another goroutine to answer
	awake   chan struct{}       // closed: until then decide waits

	rewrites bool
}

// decide is the handler.
func (j *judge) decide(p *nfqueue.Packet) nfqueue.Verdict {
	<-j.awake
	slow()
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
		{"full queue", nfqueue.Config{MaxLen: 100}, 1},
		{"full queue, FailOpen", nfqueue.Config{MaxLen: 100, FailOpen: true}, 1},
		{"full socket", nfqueue.Config{Socket: nfnl.Config{ReadBuffer: 64 << 10}}, 1},
		{"full socket, FailOpen", nfqueue.Config{Socket: nfnl.Config{ReadBuffer: 64 << 10}, FailOpen: true}, 1},
		{"several queues", nfqueue.Config{MaxLen: 100}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t)
			qs := openRange(t, n, c.cfg, c.queues)
			d := newDelta(t, n, lab.Queues(0, uint16(c.queues)))
			j := judge{tickets: make(chan nfqueue.Ticket, 1000), awake: make(chan struct{}), rewrites: canRewrite(t)}
			answered := background(func() error { j.answer(t); return nil })
			ctx, cancel := context.WithCancel(context.Background())
			done := background(func() error { return qs.Run(ctx, j.decide) })

			d.flood(t, *floodPackets/2)
			close(j.awake)
			d.flood(t, *floodPackets/2)
			awaitStill(func() uint64 { return qs.Stats().Packets })
			d.last(t)
			awaitStill(func() uint64 { return qs.Stats().Packets })
			cancel()
			wantError(t, "Run", next(t, done), context.Canceled)
			close(j.tickets)
			next(t, answered)
			wantAccounted(t, d, &j, qs, c.cfg.FailOpen)
		})
	}
}

// wantAccounted checks the sum.
func wantAccounted(t *testing.T, d *delta, j *judge, qs *nfqueue.Queues, failOpen bool) {
	t.Helper()
	in, out, dropped, s := packets(t, d.in), packets(t, d.out), j.dropped.Load(), qs.Stats()
	full, known := uint64(0), true
	for i := range qs.Len() {
		k, ok := kernelStats(t, qs.Queue(i))
		full, known = full+uint64(k.Full), known && ok
	}
	t.Logf("%d in = %d let through + %d dropped + %d lost at the socket (%d let through all the same) + %d in the full queue",
		in, out, dropped, s.Lost, s.Bypassed, full)
	if sum := out + dropped + s.Lost - s.Bypassed + full; known && in != sum {
		t.Errorf("%d packets came in, but %d are accounted for", in, sum)
	}
	if full+s.Lost == 0 && known && !failOpen {
		t.Error("nothing was lost: this was no overload")
	}
	if failOpen != (s.Bypassed == s.Lost) && s.Lost > 0 {
		t.Errorf("%d of %d lost packets were let through, with FailOpen %v", s.Bypassed, s.Lost, failOpen)
	}
	if s.Malformed+s.Refused+s.Gone+s.Fallbacks > 0 || s.Held > 0 {
		t.Errorf("stats %+v", s)
	}
}

// With a reader that is too slow, and asleep at first, every packet was either
// read or is missing in the sequence, to the packet.
func TestLoggedPacketsAreAccountedForUnderOverload(t *testing.T) {
	for _, threshold := range []uint32{1, 64} {
		t.Run(fmt.Sprintf("threshold %d", threshold), func(t *testing.T) {
			n := newNet(t)
			r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: threshold, Socket: nfnl.Config{ReadBuffer: 128 << 10}})
			d := newDelta(t, n, lab.Log(5, "", 0, 0))
			ctx, cancel := context.WithCancel(context.Background())
			var read atomic.Uint64
			awake := make(chan struct{})
			done := background(func() error {
				for _, err := range r.Packets(ctx) {
					if err != nil {
						return err
					}
					<-awake
					slow()
					read.Add(1)
				}
				return nil
			})
			d.flood(t, *floodPackets/2)
			close(awake)
			d.flood(t, *floodPackets/2)
			awaitStill(read.Load)
			d.last(t)
			awaitStill(read.Load)
			cancel()
			wantError(t, "Packets", next(t, done), context.Canceled)

			in, s := packets(t, d.in), r.Stats()
			if s.Lost == 0 {
				t.Error("nothing was lost: this was no overload")
			}
			t.Logf("%d in = %d read + %d lost", in, read.Load(), s.Lost)
			if read.Load() != s.Packets || s.Packets+s.Lost != in {
				t.Errorf("%d packets logged, %d read, stats %+v", in, read.Load(), s)
			}
			if out := packets(t, d.out); out != in {
				t.Errorf("%d packets logged, but %d went on", in, out)
			}
		})
	}
}

// awaitStill waits until a number has not changed for a while.
func awaitStill(number func() uint64) {
	for before := number(); ; {
		time.Sleep(100 * time.Millisecond)
		now := number()
		if now == before {
			return
		}
		before = now
	}
}
