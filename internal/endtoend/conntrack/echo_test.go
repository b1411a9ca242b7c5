//go:build linux

package conntrack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// An echo is a ping over one version of IP.
type echo struct {
	v                        endtoend.IPVersion
	network                  string
	protocol, request, reply byte
}

var echoes = []echo{
	{endtoend.IPv4, "ip4:icmp", unix.IPPROTO_ICMP, 8, 0},
	{endtoend.IPv6, "ip6:ipv6-icmp", unix.IPPROTO_ICMPV6, 128, 129},
}

// send sends an echo request with the ID 0x1234 to n's own address.
func (e echo) send(t *testing.T, n *lab.Net) {
	t.Helper()
	conn, err := n.Dial(e.network, e.v.Host)
	testkit.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	// Type, code, checksum, ID and sequence number. The kernel puts the
	// checksum into ICMPv6 only; 8 + 0x1234 + 1 is what to make up for.
	b := []byte{e.request, 0, 0, 0, 0x12, 0x34, 0, 1}
	if e.request == 8 {
		binary.BigEndian.PutUint16(b[2:], ^uint16(0x0800+0x1234+1))
	}
	endtoend.Send(t, conn, string(b))
}

// An echo has no ports, but an ID, and a type in each direction.
func TestConntrackTellsOfAnEcho(t *testing.T) {
	for _, e := range echoes {
		t.Run(e.v.Name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
			packets := follow(t, n, 0, nfqueue.Accept())
			endtoend.AddRule(t, n, e.v.Family, lab.Output, lab.L4(e.protocol), lab.Tracked(^lab.Untracked), lab.Queue(0))
			e.send(t, n)
			host := netip.AddrPortFrom(netip.MustParseAddr(e.v.Host), 0)
			original, reply := ends(e.protocol, host, host), ends(e.protocol, host, host)
			original.ICMPType, reply.ICMPType = e.request, e.reply
			original.ICMPID, reply.ICMPID = 0x1234, 0x1234
			for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
				p := testkit.Next(t, packets)
				wantInfo(t, p, info)
				wantTuples(t, p, original, reply)
			}
		})
	}
}

// The first packets of two protocols, from port 4660 to 9999.
const (
	// Ports, verification tag 0, no checksum; INIT of 20 bytes with the tag
	// 0x0a0b0c0d, a window, one stream each way and a sequence number.
	sctpBegin = "\x12\x34\x27\x0f\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x14\x0a\x0b\x0c\x0d\x00\x00\xff\xff\x00\x01\x00\x01\x00\x00\x00\x01"

	// Ports, 5 words of header, no checksum; Request, with a sequence number of 48
	// bits and a service code.
	dccpBegin = "\x12\x34\x27\x0f\x05\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01"
)

// wantHandshake checks what is known of a connection after sctpBegin or
// dccpBegin.
func wantHandshake(t testing.TB, p *nfqueue.Packet) {
	t.Helper()
	c, err := p.Conntrack()
	testkit.Must(t, err)
	switch c.Original.Protocol {
	case unix.IPPROTO_SCTP:
		// The other side is to use the tag from INIT. Old kernels wait for the cookie
		// before there is an answer.
		closed, waiting := attr.SCTPInfo{State: attr.SCTPClosed, ReplyTag: 0x0a0b0c0d}, attr.SCTPInfo{State: attr.SCTPCookieWait, ReplyTag: 0x0a0b0c0d}
		if c.SCTP != closed && c.SCTP != waiting || c.DCCP != (attr.DCCPInfo{}) {
			t.Errorf("SCTP: %+v", c)
		}
	case unix.IPPROTO_DCCP:
		if c.DCCP == (attr.DCCPInfo{}) && c.Original.Src.Port() == 0 {
			t.Log("this kernel does not track DCCP")
		} else if c.DCCP != (attr.DCCPInfo{State: attr.DCCPRequest}) || c.SCTP != (attr.SCTPInfo{}) {
			t.Errorf("DCCP: %+v", c)
		}
	}
	if c.TCP != (attr.TCPInfo{}) {
		t.Errorf("TCP: %+v", c)
	}
}

// behindSynProxy has n answer SYNs from others in its own stead, and queues what
// it sends then in connections that it tracks.
func behindSynProxy(t testing.TB, n *lab.Net, queue uint16) {
	t.Helper()
	endtoend.AddRules(t, n, lab.IPv4, lab.Prerouting, -300, []lab.Term{lab.In("eth0"), lab.L4(unix.IPPROTO_TCP), lab.NoTrack()})
	endtoend.AddRules(t, n, lab.IPv4, lab.Input, 0, []lab.Term{lab.TCP(9999), lab.Tracked(lab.Untracked), lab.SynProxy()})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Tracked(lab.New|lab.Established), lab.Queue(queue))
}
