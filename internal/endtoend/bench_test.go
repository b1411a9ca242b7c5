//go:build linux

package endtoend

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// The benchmarks let packets pile up first and then measure how fast they are
// taken from the kernel, and nothing else. All ways take turns, so that what
// else the machine does hits all of them; of several rounds the median counts.
// "x-netlink" says how much faster a way is than a loop around the Receive and
// Send of netlink.Conn in the same round. The helper must is not for what is
// done for each packet: it costs more than the library.
const (
	benchPackets = 20_000
	benchRounds  = 3
	benchBuffer  = 64 << 20
	benchPayload = 36 // bytes, which makes packets of 64
	logThreshold = 64 // packets that the kernel delivers together
)

// A pile makes packets pile up.
type pile struct {
	net     *lab.Net
	from    net.Conn
	packets int
}

// newPile prepares packets that meet terms at the hook input, and are dropped
// behind it.
func newPile(b *testing.B, terms ...lab.Term) *pile {
	b.Helper()
	p := &pile{net: newNet(b)}
	addRule(b, p.net, lab.IPv4, lab.Input, terms...)
	later, err := p.net.Chain(lab.IPv4, lab.Input, 10)
	must(b, err)
	_, err = later.Add(lab.UDP(9999), lab.Drop())
	must(b, err)
	p.from, err = p.net.Dial("udp", ipv4.address())
	must(b, err)
	b.Cleanup(func() { p.from.Close() })

	// An ordinary user's receive buffers are smaller.
	probe, err := nfnl.Dial(nfnl.Config{NetNS: p.net.FD(), ReadBuffer: benchBuffer})
	must(b, err)
	defer probe.Close()
	p.packets = min(benchPackets, probe.ReadBuffer()/1024) &^ (logThreshold - 1)
	return p
}

// grow sends the packets.
func (p *pile) grow(b *testing.B) {
	b.Helper()
	body := make([]byte, benchPayload)
	for range p.packets {
		if _, err := p.from.Write(body); err != nil {
			b.Fatal(err)
		}
	}
}

// A way takes all packets of a pile, that it lets grow once it is ready, and
// returns how long that took and how many system calls.
type way struct {
	name  string
	drain func(b *testing.B, p *pile) (elapsed time.Duration, calls int)
}

// compare measures ways, of which the first is the one that the others are
// compared with.
func compare(b *testing.B, p *pile, ways []way) {
	b.Helper()
	type round struct{ rate, calls, ratio float64 }
	rounds := make([][]round, len(ways))
	for range benchRounds {
		var first float64
		for i, w := range ways {
			elapsed, calls := w.drain(b, p)
			r := round{rate: float64(p.packets) / elapsed.Seconds(), calls: float64(calls) / float64(p.packets)}
			if i == 0 {
				first = r.rate
			}
			r.ratio = r.rate / first
			rounds[i] = append(rounds[i], r)
		}
	}
	median := func(i int, of func(round) float64) float64 {
		values := make([]float64, 0, benchRounds)
		for _, r := range rounds[i] {
			values = append(values, of(r))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	for i, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(i, func(r round) float64 { return r.rate }), "packets/s")
			b.ReportMetric(median(i, func(r round) float64 { return r.calls }), "calls/packet")
			b.ReportMetric(median(i, func(r round) float64 { return r.ratio }), "x-netlink")
		})
	}
}

func BenchmarkQueue(b *testing.B) {
	p := newPile(b, lab.UDP(9999), lab.Queue(0))
	compare(b, p, []way{
		{"netlink.Conn", drainWithNetlink},
		{"Receive and Send", drainWithReceive},
		{"Run accept", drainWithRun(accept)},
		{"Run mark", drainWithRun(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept().WithMark(7) })},
		{"Run payload", drainWithRun(func(p *nfqueue.Packet) nfqueue.Verdict {
			p.Payload[ipv4.headers]++
			return nfqueue.Accept().WithPayload(p.Payload)
		})},
	})
}

// benchQueue opens a queue with room for a pile.
func benchQueue(b *testing.B, p *pile) *nfqueue.Queue {
	b.Helper()
	q, err := nfqueue.Open(benchConfig(p))
	must(b, err)
	return q
}

func benchConfig(p *pile) nfqueue.Config {
	return nfqueue.Config{MaxLen: 1 << 16, Socket: nfnl.Config{NetNS: p.net.FD(), ReadBuffer: benchBuffer}}
}

// drainWithRun counts two calls for each batch; that a new one has come shows
// in the address of its first packet.
func drainWithRun(h nfqueue.Handler) func(*testing.B, *pile) (time.Duration, int) {
	return func(b *testing.B, p *pile) (time.Duration, int) {
		q := benchQueue(b, p)
		defer q.Close()
		p.grow(b)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left, calls := p.packets, 0
		var first *nfqueue.Packet
		start := time.Now()
		err := q.Run(ctx, func(packet *nfqueue.Packet) nfqueue.Verdict {
			if first == nil {
				first = packet
			}
			if packet == first {
				calls += 2
			}
			if left--; left == 0 {
				cancel()
			}
			return h(packet)
		})
		elapsed := time.Since(start)
		if left > 0 {
			b.Fatalf("%d packets missing: %v", left, err)
		}
		return elapsed, calls
	}
}

func drainWithReceive(b *testing.B, p *pile) (time.Duration, int) {
	q := benchQueue(b, p)
	defer q.Close()
	p.grow(b)
	must(b, q.SetReadDeadline(time.Now().Add(patience)))
	calls := 0
	batch := q.NewBatch()
	start := time.Now()
	for left := p.packets; left > 0; left -= len(batch.Packets) {
		must(b, q.Receive(batch))
		for i := range batch.Verdicts {
			batch.Verdicts[i] = nfqueue.Accept()
		}
		must(b, q.Send(batch))
		calls += 2
	}
	return time.Since(start), calls
}

// netlinkConn returns a socket of the netlink package, set up by a request.
func netlinkConn(b *testing.B, p *pile, request nfnl.Message) *netlink.Conn {
	b.Helper()
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: p.net.FD()})
	must(b, err)
	must(b, c.SetOption(netlink.NoENOBUFS, true))
	must(b, c.SetReadBuffer(benchBuffer))
	const header = 16
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(request.Type), Flags: netlink.Request | netlink.Acknowledge},
		Data:   request.Append(nil)[header:],
	})
	must(b, err)
	must(b, c.SetReadDeadline(time.Now().Add(patience)))
	return c
}

// drainWithNetlink answers each packet on its own. Its Receive makes two calls,
// one of them to learn how long the message is.
func drainWithNetlink(b *testing.B, p *pile) (time.Duration, int) {
	const (
		typeVerdict       = 3<<8 | 1 // NFQNL_MSG_VERDICT
		attrVerdictHeader = 2        // NFQA_VERDICT_HDR
		packetID          = 4 + 4    // behind struct nfgenmsg and the header of the first attribute
		accept            = 1        // NF_ACCEPT
	)
	bind, err := benchConfig(p).Bind()
	must(b, err)
	c := netlinkConn(b, p, bind)
	defer c.Close()
	p.grow(b)
	calls := 0
	start := time.Now()
	for left := p.packets; left > 0; {
		msgs, err := c.Receive()
		if err != nil {
			b.Fatal(err)
		}
		calls += 2
		for _, m := range msgs {
			verdict := binary.BigEndian.AppendUint32(nil, accept)
			verdict = append(verdict, m.Data[packetID:packetID+4]...)
			if _, err := c.Send(netlink.Message{
				Header: netlink.Header{Type: typeVerdict, Flags: netlink.Request},
				Data:   attr.AppendBytes(make([]byte, 4, 16), attrVerdictHeader, verdict),
			}); err != nil {
				b.Fatal(err)
			}
			calls++
			left--
		}
	}
	return time.Since(start), calls
}
