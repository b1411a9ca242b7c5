//go:build linux

package endtoend

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// The benchmarks let packets pile up first and then measure how fast they are
// taken from the kernel, and nothing else. All ways take turns, so that what
// else the machine does hits all of them; of several rounds the median counts.
// "x-netlink" says how much faster a way is than a loop around the Receive and
// Send of netlink.Conn in the same round. testkit.Must is not for what is
// done for each packet: it costs more than the library.
const (
	benchPackets = 20_000
	benchRounds  = 3
	BenchBuffer  = 64 << 20
	benchPayload = 36 // bytes, which makes packets of 64
	LogThreshold = 64 // packets that the kernel delivers together
)

// A Backlog is where packets pile up: in a queue or a log of a namespace of its own.
type Backlog struct {
	Net     *lab.Net
	from    net.Conn
	Packets int
}

// NewBacklog returns one for the packets that a rule of those terms takes at the hook
// input. A later chain drops them.
func NewBacklog(b *testing.B, terms ...lab.Term) *Backlog {
	b.Helper()
	p := &Backlog{Net: NewNet(b)}
	AddRule(b, p.Net, lab.IPv4, lab.Input, terms...)
	later, err := p.Net.Chain(lab.IPv4, lab.Input, 10)
	testkit.Must(b, err)
	_, err = later.Add(lab.UDP(9999), lab.Drop())
	testkit.Must(b, err)
	p.from, err = p.Net.Dial("udp", IPv4.Address())
	testkit.Must(b, err)
	b.Cleanup(func() { p.from.Close() })

	// An ordinary user's receive buffers are smaller.
	probe, err := engine.Dial(engine.Config{NetNS: p.Net.FD(), ReadBuffer: BenchBuffer})
	testkit.Must(b, err)
	defer probe.Close()
	p.Packets = min(benchPackets, probe.ReadBuffer()/1024) &^ (LogThreshold - 1)
	return p
}

// Grow sends the packets.
func (p *Backlog) Grow(b *testing.B) {
	b.Helper()
	body := make([]byte, benchPayload)
	for range p.Packets {
		if _, err := p.from.Write(body); err != nil {
			b.Fatal(err)
		}
	}
}

// A Drain takes all packets of a pile, that it lets grow once it is ready, and
// returns how long that took and how many system calls.
type Drain struct {
	Name string
	Take func(b *testing.B, p *Backlog) (elapsed time.Duration, calls int)
}

// CompareDrains measures ways, of which the first is the one that the others are
// compared with.
func CompareDrains(b *testing.B, p *Backlog, ways []Drain) {
	b.Helper()
	type round struct{ rate, calls, ratio float64 }
	rounds := make([][]round, len(ways))
	for range benchRounds {
		var first float64
		for i, w := range ways {
			elapsed, calls := w.Take(b, p)
			r := round{rate: float64(p.Packets) / elapsed.Seconds(), calls: float64(calls) / float64(p.Packets)}
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
		b.Run(w.Name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(i, func(r round) float64 { return r.rate }), "packets/s")
			b.ReportMetric(median(i, func(r round) float64 { return r.calls }), "calls/packet")
			b.ReportMetric(median(i, func(r round) float64 { return r.ratio }), "x-netlink")
		})
	}
}

// NetlinkConn returns a socket of the netlink package, set up by a request.
func NetlinkConn(b *testing.B, p *Backlog, request nfnl.Message) *netlink.Conn {
	b.Helper()
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: p.Net.FD()})
	testkit.Must(b, err)
	testkit.Must(b, c.SetOption(netlink.NoENOBUFS, true))
	testkit.Must(b, c.SetReadBuffer(BenchBuffer))
	const header = 16
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(request.Type), Flags: netlink.Request | netlink.Acknowledge},
		Data:   request.Append(nil)[header:],
	})
	testkit.Must(b, err)
	testkit.Must(b, c.SetReadDeadline(time.Now().Add(testkit.Patience)))
	return c
}
