//go:build linux

package faults

import (
	"bytes"
	"flag"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
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

// meet gets each packet that a reader sees, and reports whether it is one
// of a round.
func (d *delta) meet(payload []byte) bool {
	round, ok := bytes.CutPrefix(payload[endtoend.IPv4.Headers:], []byte("last"))
	if ok {
		d.seen[round[0]].Add(1)
	}
	return ok
}
