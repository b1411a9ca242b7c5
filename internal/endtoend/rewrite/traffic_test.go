//go:build linux

package rewrite

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A traffic is a kind of packet, and how one is sent and received.
type traffic struct {
	name    string
	hooks   []lab.Hook
	message string                      // what is sent
	data    func(p *nfqueue.Packet) int // where its data begins; 0 if it is another's packet
	build   func(t *testing.T) places   // what it travels through

	intact    bool // only its header can be changed: the data is protected, or others'
	stream    bool // the message is a part of a stream
	conntrack bool // needs Config.Conntrack
	frame     bool // comes over a bridge
	udpGSO    bool
}

// places says where packets are queued that pass a hook.
type places func(h lab.Hook) place

type place struct {
	net      *lab.Net
	family   lab.Family
	priority int
	match    []lab.Term

	send sender

	sendLarge func(t *testing.T) // over a bridge: UDP GSO
}

// A sender sends a message, and returns what receives n bytes of what becomes of
// it. That gives up after a while.
type sender func(t *testing.T, message string) (receive func(n int) []byte)

var (
	allHooks      = []lab.Hook{lab.Prerouting, lab.Input, lab.Forward, lab.Output, lab.Postrouting}
	onTheWay      = []lab.Hook{lab.Forward, lab.Postrouting}
	ofBridges     = []lab.Hook{lab.Prerouting, lab.Forward, lab.Postrouting}
	fragmentHooks = []lab.Hook{lab.Prerouting, lab.Forward}
)

const (
	roadA, roadB   = "192.0.2.1", "198.51.100.1"
	roadA6, roadB6 = "2001:db8:a::1", "2001:db8:b::1"
)

// short and long are messages: of one segment, and of several.
var (
	short = "a message of some length, " + endtoend.Letters(100)
	long  = "a message of some length, " + endtoend.Letters(12*endtoend.GSOSize-26)
)

// untunnelled are the rows of the table about packets that carry no others.
var untunnelled = []*traffic{
	{name: "UDP, IPv4", hooks: allHooks, message: short, data: plainData, build: udpRoad(endtoend.IPv4, nil)},
	{name: "UDP, IPv6", hooks: allHooks, message: short, data: plainData, build: udpRoad(endtoend.IPv6, nil)},
	{name: "UDP that ends before its packet", hooks: allHooks, message: short, data: plainData, build: endingEarly},
	{name: "TCP, IPv4", hooks: allHooks, message: short, data: plainData, build: tcpRoad(endtoend.IPv4, nil), stream: true},
	{name: "TCP, IPv6", hooks: allHooks, message: short, data: plainData, build: tcpRoad(endtoend.IPv6, nil), stream: true},
	{name: "ICMP", hooks: allHooks, message: short, data: requestData, build: rawRoad(endtoend.IPv4, unix.IPPROTO_ICMP)},
	{name: "ICMPv6", hooks: allHooks, message: short, data: requestData, build: rawRoad(endtoend.IPv6, unix.IPPROTO_ICMPV6)},
	{name: "SCTP", hooks: allHooks, message: short, data: plainData, build: rawRoad(endtoend.IPv4, unix.IPPROTO_SCTP)},

	{name: "fragment, IPv4, its header", hooks: fragmentHooks, message: long[:3000], data: fragmentData, build: udpRoad(endtoend.IPv4, nil), intact: true},
	{name: "fragment, IPv6, its header", hooks: append(fragmentHooks, lab.Input), message: long[:3000], data: fragmentData, build: udpRoad(endtoend.IPv6, nil), intact: true},
	{name: "fragment, IPv4, its data", hooks: fragmentHooks, message: long[:3000], data: fragmentData, build: udpRoad(endtoend.IPv4, nil)},
	{name: "fragment, IPv6, its data", hooks: append(fragmentHooks, lab.Input), message: long[:3000], data: fragmentData, build: udpRoad(endtoend.IPv6, nil)},
	{name: "datagram reassembled by connection tracking", hooks: allHooks, message: long[:3000], data: plainData, build: udpRoad(endtoend.IPv4, trackedRoad)},

	{name: "TCP GSO, IPv4", hooks: allHooks, message: long, data: gsoData, build: tcpRoad(endtoend.IPv4, nil), stream: true},
	{name: "TCP GSO, IPv6", hooks: allHooks, message: long, data: gsoData, build: tcpRoad(endtoend.IPv6, nil), stream: true},
	{name: "UDP GSO, IPv4", hooks: allHooks, message: long, data: gsoData, build: gsoRoad(endtoend.IPv4, nil), udpGSO: true},
	{name: "UDP GSO, IPv6", hooks: allHooks, message: long, data: gsoData, build: gsoRoad(endtoend.IPv6, nil), udpGSO: true},

	{name: "UDP, before NAT", hooks: onTheWay, message: short, data: plainData, build: atRouter(udpRoad(endtoend.IPv4, natRoad), 0)},
	{name: "UDP, after NAT", hooks: onTheWay[1:], message: short, data: plainData, build: atRouter(udpRoad(endtoend.IPv4, natRoad), 200)},
	{name: "TCP, before NAT", hooks: onTheWay, message: short, data: plainData, build: atRouter(tcpRoad(endtoend.IPv4, natRoad), 0), stream: true},
	{name: "TCP GSO, before NAT", hooks: onTheWay, message: long, data: gsoData, build: atRouter(tcpRoad(endtoend.IPv4, natRoad), 0), stream: true},
	{name: "UDP GSO, before NAT, seen by Config.Conntrack", hooks: onTheWay, message: long, data: gsoData, build: atRouter(gsoRoad(endtoend.IPv4, natRoad), 0), conntrack: true, udpGSO: true},
	{name: "UDP GSO, after NAT", hooks: onTheWay[1:], message: long, data: gsoData, build: atRouter(gsoRoad(endtoend.IPv4, natRoad), 200), udpGSO: true},
}

// plainData, gsoData, requestData and fragmentData return where the data of a
// kind's packets begins.
func plainData(p *nfqueue.Packet) int { return dataOf(p, !p.GSO) }

func gsoData(p *nfqueue.Packet) int { return dataOf(p, p.GSO) }

func requestData(p *nfqueue.Packet) int {
	f, _ := nfnl.ParseFlow(p.Payload)
	return dataOf(p, f.ICMPType == 8 || f.ICMPType == 128)
}

func fragmentData(p *nfqueue.Packet) int {
	f, _ := nfnl.ParseFlow(p.Payload)
	return dataOf(p, f.MoreFragments)
}

// dataOf returns where the data of a packet begins, if it is with a message.
func dataOf(p *nfqueue.Packet, ours bool) int {
	f, ok := nfnl.ParseFlow(p.Payload)
	if !ok || !ours || f.PayloadOffset == 0 || !bytes.HasPrefix(p.Payload[f.PayloadOffset:], []byte(short[:5])) {
		return 0
	}
	return f.PayloadOffset
}

// hosts returns the addresses at the ends of a road.
func hosts(v endtoend.IPVersion) (a, b netip.Addr) {
	if v.Family == lab.IPv6 {
		return netip.MustParseAddr(roadA6), netip.MustParseAddr(roadB6)
	}
	return netip.MustParseAddr(roadA), netip.MustParseAddr(roadB)
}

// udpRoad builds a road for datagrams, which prepare changes before, if it is not
// nil.
func udpRoad(v endtoend.IPVersion, prepare func(*testing.T, *endtoend.Routed)) func(*testing.T) places {
	return func(t *testing.T) places {
		r := prepared(t, prepare)
		pc, c := endtoend.UDPAcross(t, r.A, r.B, r.Address(v))
		return placesOn(r, v, []lab.Term{lab.L4(unix.IPPROTO_UDP)}, sendDatagram(pc, c))
	}
}

// gsoRoad is udpRoad for UDP GSO.
func gsoRoad(v endtoend.IPVersion, prepare func(*testing.T, *endtoend.Routed)) func(*testing.T) places {
	return func(t *testing.T) places {
		r := prepared(t, prepare)
		pc, c := endtoend.UDPGSOPair(t, r, v)
		endtoend.Send(t, c, "the first packet of its connection")
		endtoend.Receive(t, pc)
		return placesOn(r, v, []lab.Term{lab.UDP(9999)}, sendDatagram(pc, c))
	}
}

// tcpRoad is udpRoad for TCP.
func tcpRoad(v endtoend.IPVersion, prepare func(*testing.T, *endtoend.Routed)) func(*testing.T) places {
	return func(t *testing.T) places {
		r := prepared(t, prepare)
		return placesOn(r, v, []lab.Term{lab.TCP(9999)}, sendStream(r.A, r.B, r.Address(v)))
	}
}

// prepared returns a new road.
func prepared(t *testing.T, prepare func(*testing.T, *endtoend.Routed)) *endtoend.Routed {
	t.Helper()
	r := endtoend.NewRouted(t)
	if prepare != nil {
		prepare(t, r)
	}
	return r
}

// trackedRoad makes all of the road track connections.
func trackedRoad(t *testing.T, r *endtoend.Routed) {
	for _, n := range []*lab.Net{r.A, r.Router, r.B} {
		endtoend.AddRule(t, n, lab.IPv4, lab.Prerouting, lab.Tracked(lab.Established))
	}
}

// natRoad gives what leaves the router for b its own address.
func natRoad(t *testing.T, r *endtoend.Routed) {
	c, err := r.Router.NAT(lab.IPv4, lab.Postrouting)
	testkit.Must(t, err)
	_, err = c.Add(lab.Out("to-b"), lab.Masquerade())
	testkit.Must(t, err)
}

// atRouter queues at the router, at a priority.
func atRouter(build func(*testing.T) places, priority int) func(*testing.T) places {
	return func(t *testing.T) places {
		at := build(t)
		return func(lab.Hook) place {
			p := at(lab.Forward)
			p.priority = priority
			return p
		}
	}
}

// placesOn returns where on the road packets are queued.
func placesOn(r *endtoend.Routed, v endtoend.IPVersion, match []lab.Term, send sender) places {
	return func(h lab.Hook) place {
		return place{net: r.At(h), family: v.Family, match: match, send: send}
	}
}
