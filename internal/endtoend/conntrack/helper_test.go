//go:build linux

package conntrack

import (
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A tracked packet is one with what the kernel said of its connection.
type tracked struct {
	*nfqueue.Packet
	conn attr.Conntrack
}

// follow opens a queue with Conntrack and returns the packets that it gets, all
// accepted with v.
func follow(t testing.TB, n *lab.Net, number uint16, v nfqueue.Verdict) <-chan tracked {
	t.Helper()
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: number, Conntrack: true})
	packets := make(chan tracked, 100)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		p = p.Clone()
		c, err := p.Conntrack()
		if err != nil {
			t.Errorf("packet %d, %v: %v", p.ID, p.ConntrackInfo, err)
		}
		packets <- tracked{p, c}
		return v
	})
	return packets
}

// ends returns the tuple of packets from one end to the other.
func ends(protocol uint8, src, dst netip.AddrPort) attr.Tuple {
	return attr.Tuple{Protocol: protocol, Src: src, Dst: dst}
}

// addrPort returns the address of a socket.
func addrPort(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// wantInfo checks what a packet is in its connection.
func wantInfo(t testing.TB, p tracked, want attr.ConntrackInfo) {
	t.Helper()
	if p.ConntrackInfo != want {
		t.Errorf("packet %d is %v, want %v", p.ID, p.ConntrackInfo, want)
	}
}

// wantTuples checks both directions.
func wantTuples(t testing.TB, p tracked, original, reply attr.Tuple) {
	t.Helper()
	if p.conn.Original != original || p.conn.Reply != reply {
		t.Errorf("packet %d: %v, reply %v; want %v, reply %v", p.ID, p.conn.Original, p.conn.Reply, original, reply)
	}
}

// wantStatus checks the bits of the status that mask has.
func wantStatus(t testing.TB, p tracked, want, mask attr.ConntrackStatus) {
	t.Helper()
	if got := p.conn.Status & mask; got != want {
		t.Errorf("packet %d: status %v, of which %v should be %v", p.ID, p.conn.Status, got, want)
	}
}

// progress are the bits of a status that say how far a connection has come.
const progress = attr.StatusSeenReply | attr.StatusAssured | attr.StatusConfirmed
