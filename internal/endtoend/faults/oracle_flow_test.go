//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// The ports of the oracle's flows begin here, and its marks are these.
const (
	oraclePort     = 9100
	oracleRepeated = 0x77
	oracleMarked   = 0x78
)

// A flowKind is traffic that gets one kind of verdict, whose outcome is known.
type flowKind struct {
	name    string
	network string
	host    string
	pad     int // bytes of a datagram beside its number
	verdict func(o *oracle, p *nfqueue.Packet) nfqueue.Verdict
	dropped bool
	ordered bool   // arrives in the order in which it was sent
	suffix  string // that the rewrite appends
}

// window is how many datagrams of a flow may be under way: a receiver has room for
// them.
func (k *flowKind) window() int64 { return int64(1 + 30_000/(1000+k.pad)) }

// A flow is one at work. settled counts what was dropped or has arrived.
type flow struct {
	flowKind
	from          net.Conn
	to            net.PacketConn
	sent, settled atomic.Int64
}

// An oracle knows what becomes of each packet.
type oracle struct {
	t       *testing.T
	queue   *nfqueue.Queue
	flows   []*flow
	tickets chan nfqueue.Ticket
	done    atomic.Bool // no more is sent
}

func answerAccept(*oracle, *nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }

// kinds returns the kinds of flows.
func (o *oracle) kinds() []flowKind {
	const v4, v6 = "127.0.0.1", "::1"
	answer := func(v nfqueue.Verdict) func(*oracle, *nfqueue.Packet) nfqueue.Verdict {
		return func(*oracle, *nfqueue.Packet) nfqueue.Verdict { return v }
	}
	kinds := []flowKind{
		{name: "accept", network: "udp4", host: v4, verdict: answerAccept, ordered: true},
		{name: "accept, IPv6", network: "udp6", host: v6, verdict: answerAccept, ordered: true},
		{name: "large", network: "udp4", host: v4, pad: 20000, verdict: answerAccept, ordered: true},
		{name: "drop", network: "udp4", host: v4, verdict: answer(nfqueue.Drop()), dropped: true},
		{name: "drop, IPv6", network: "udp6", host: v6, verdict: answer(nfqueue.Drop()), dropped: true},
		{name: "stop", network: "udp6", host: v6, verdict: answer(nfqueue.Stop()), ordered: true},
		{name: "mark", network: "udp4", host: v4, verdict: answer(nfqueue.Accept().WithMark(oracleMarked)), ordered: true},
		{name: "repeat", network: "udp4", host: v4, verdict: answer(nfqueue.Repeat().WithMark(oracleRepeated)), ordered: true},
		{name: "requeue", network: "udp4", host: v4, verdict: answer(nfqueue.Requeue(1)), ordered: true},
		{name: "hold", network: "udp4", host: v4, verdict: (*oracle).hold},
		{name: "early", network: "udp4", host: v4, verdict: (*oracle).early, ordered: true},
		{name: "expire", network: "udp4", host: v4, verdict: answer(nfqueue.HoldFor(time.Millisecond, nfqueue.Accept()))},
		{name: "expire, dropped", network: "udp6", host: v6, verdict: answer(nfqueue.HoldFor(time.Millisecond, nfqueue.Drop())), dropped: true},
	}
	if !endtoend.ForbidsRewrites(o.t) {
		kinds = append(kinds, flowKind{name: "rewrite", network: "udp4", host: v4, pad: 700, verdict: (*oracle).rewrite, ordered: true, suffix: "!"})
	}
	return kinds
}

// hold leaves the packet to a goroutine.
func (o *oracle) hold(p *nfqueue.Packet) nfqueue.Verdict {
	o.tickets <- p.Ticket()
	return nfqueue.Hold()
}

// early decides before it returns.
func (o *oracle) early(p *nfqueue.Packet) nfqueue.Verdict {
	if err := p.Ticket().SetVerdict(nfqueue.Accept()); err != nil {
		o.t.Errorf("a ticket's verdict in the handler: %v", err)
	}
	return nfqueue.Drop() // too late
}

func (o *oracle) rewrite(p *nfqueue.Packet) nfqueue.Verdict {
	return nfqueue.Accept().WithPayload(append(p.Payload, '!'))
}

// handle decides on a packet as its flow says; TCP is accepted.
func (o *oracle) handle(p *nfqueue.Packet) nfqueue.Verdict {
	f, ok := nfnl.ParseFlow(p.Payload)
	if i := int(f.Dst.Port()) - oraclePort; ok && f.Protocol == unix.IPPROTO_UDP && i >= 0 && i < len(o.flows) {
		if o.flows[i].dropped {
			o.flows[i].settled.Add(1)
		}
		return o.flows[i].verdict(o, p)
	}
	return nfqueue.Accept()
}

// send sends datagrams of a flow, with their numbers, until no more are wanted.
func (o *oracle) send(f *flow) {
	for n := int64(0); !o.done.Load(); n++ {
		for f.sent.Load()-f.settled.Load() >= f.window() {
			time.Sleep(50 * time.Microsecond)
			if o.done.Load() {
				return
			}
		}
		f.sent.Add(1)
		fmt.Fprintf(f.from, "%09d%s", n, strings.Repeat("x", f.pad)) // EPERM is that it was dropped at once
	}
}

// receive checks what arrives of a flow: each once, and in order if it is to be.
func (o *oracle) receive(f *flow) {
	b := make([]byte, 1<<16)
	for seen, last := map[int64]bool{}, int64(-1); ; {
		n, _, err := f.to.ReadFrom(b)
		if err != nil {
			return // closed
		}
		var number int64
		fmt.Sscanf(string(b[:9]), "%d", &number)
		switch {
		case f.dropped:
			o.t.Errorf("%s: packet %d arrived", f.name, number)
		case seen[number]:
			o.t.Errorf("%s: packet %d arrived twice", f.name, number)
		case f.ordered && number != last+1:
			o.t.Errorf("%s: packet %d arrived after %d", f.name, number, last)
		case n != 9+f.pad+len(f.suffix) || !bytes.HasSuffix(b[:n], []byte(f.suffix)):
			o.t.Errorf("%s: packet %d has %d bytes", f.name, number, n)
		}
		last = number
		seen[number] = true
		f.settled.Add(1)
	}
}
