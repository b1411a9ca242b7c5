//go:build linux

package rewrite

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

const (
	innerA, innerB = "10.9.0.1", "10.9.0.2"
	innerAddress   = innerB + ":9999"
)

// tunnelled are the rows of the table about packets inside of others.
func tunnelled() (all []*traffic) {
	udp, tcp, udpGSO := insideUDP, insideTCP, insideUDPGSO
	for _, k := range []struct {
		name   string
		tunnel tunnel
		inside func(t *testing.T, a, b *lab.Net) sender
		intact bool
	}{
		{"VXLAN with UDP inside", vxlan(false), udp, false},
		{"VXLAN with an outer checksum, UDP inside", vxlan(true), udp, false},
		{"VXLAN with TCP GSO inside", vxlan(false), tcp, false},
		{"VXLAN with an outer checksum, TCP GSO inside", vxlan(true), tcp, true},
		{"GENEVE with UDP inside", geneve(endtoend.IPv4), udp, false},
		{"GENEVE over IPv6 with UDP inside", geneve(endtoend.IPv6), udp, false},
		{"GENEVE with TCP GSO inside", geneve(endtoend.IPv4), tcp, false},
		{"FOU with UDP inside", fou, udp, false},
		{"GUE with UDP inside", gue, udp, false},
		{"GRE with UDP inside", gre, udp, false},
		{"GRE with TCP GSO inside", gre, tcp, false},
		{"IPIP with UDP inside", ipip(endtoend.IPv4), udp, false},
		{"IPIP with TCP GSO inside", ipip(endtoend.IPv4), tcp, false},
		{"IPIP with UDP GSO inside", ipip(endtoend.IPv4), udpGSO, false},
		{"IPv4 in IPv6 with UDP inside", ipip(endtoend.IPv6), udp, false},
		{"L2TP in UDP", l2tp, udp, true},
		{"WireGuard", wireGuard, udp, true},
	} {
		gso := strings.Contains(k.name, "GSO")
		message := short
		if gso {
			message = long
		}
		all = append(all, &traffic{name: k.name, hooks: allHooks, message: message, intact: k.intact, stream: strings.Contains(k.name, "TCP"),
			udpGSO: gso && k.intact, build: k.tunnel.around(k.inside), data: func(p *nfqueue.Packet) int { return k.tunnel.data(p, gso) }})
	}
	return append(all, &traffic{name: "ESP", hooks: allHooks, message: short, intact: true, build: esp, data: func(p *nfqueue.Packet) int { return 20 }})
}

// A tunnel leads from one end of a road to the other.
type tunnel struct {
	v     endtoend.IPVersion
	match []lab.Term
	dig   func(n *lab.Net, own, far netip.Addr) error // makes the device t0
	opens func(p *nfqueue.Packet) bool                // whether it is one with a message
}

// data returns where the data of a tunnel's packet begins, which has a message.
func (k tunnel) data(p *nfqueue.Packet, gso bool) int {
	if p.GSO != gso || !k.opens(p) {
		return 0
	}
	return k.v.Headers
}

// hasMessage reports whether there is a message somewhere in p.
func hasMessage(p *nfqueue.Packet) bool { return bytes.Contains(p.Payload, []byte(short[:20])) }

// around builds a road with the tunnel, and says what goes through it.
func (k tunnel) around(inside func(t *testing.T, a, b *lab.Net) sender) func(*testing.T) places {
	return func(t *testing.T) places {
		r := endtoend.NewRouted(t)
		a, b := hosts(k.v)
		for _, end := range []struct {
			net      *lab.Net
			own, far netip.Addr
			address  string
		}{{r.A, a, b, innerA}, {r.B, b, a, innerB}} {
			endtoend.SkipUnsupported(t, k.dig(end.net, end.own, end.far))
			testkit.Must(t, end.net.AddAddr("t0", netip.MustParsePrefix(end.address+"/24")))
			testkit.Must(t, end.net.Up("t0"))
		}
		pc, c := endtoend.UDPAcross(t, r.A, r.B, innerB+":9998") // neighbours get to know each other
		endtoend.Send(t, c, "first")
		endtoend.WantReceived(t, pc, "first")
		return placesOn(r, k.v, k.match, inside(t, r.A, r.B))
	}
}

func insideUDP(t *testing.T, a, b *lab.Net) sender {
	pc, c := endtoend.UDPAcross(t, a, b, innerAddress)
	return sendDatagram(pc, c)
}

func insideTCP(t *testing.T, a, b *lab.Net) sender { return sendStream(a, b, innerAddress) }

func insideUDPGSO(t *testing.T, a, b *lab.Net) sender {
	pc, c := endtoend.UDPAcross(t, a, b, innerAddress)
	endtoend.SetUDPSegment(t, c)
	return sendDatagram(pc, c)
}

// outer matches UDP to a tunnel's port.
func outer(port uint16) []lab.Term { return []lab.Term{lab.UDP(port)} }

func vxlan(checksums bool) tunnel {
	return tunnel{endtoend.IPv4, outer(4789), func(n *lab.Net, own, far netip.Addr) error { return n.VXLAN("t0", own, far, checksums) }, hasMessage}
}

func geneve(v endtoend.IPVersion) tunnel {
	return tunnel{v, outer(6081), func(n *lab.Net, _, far netip.Addr) error { return n.Geneve("t0", far, false) }, hasMessage}
}

var (
	fou = tunnel{endtoend.IPv4, outer(5555), func(n *lab.Net, own, far netip.Addr) error {
		if err := n.TakeEncap(lab.FOU, unix.IPPROTO_IPIP); err != nil {
			return err
		}
		return n.IPIP("t0", own, far, lab.FOU)
	}, hasMessage}

	gue = tunnel{endtoend.IPv4, outer(5555), func(n *lab.Net, own, far netip.Addr) error {
		if err := n.TakeEncap(lab.GUE, 0); err != nil {
			return err
		}
		return n.GRE("t0", own, far, lab.GUE)
	}, hasMessage}

	gre = tunnel{endtoend.IPv4, []lab.Term{lab.L4(unix.IPPROTO_GRE)}, func(n *lab.Net, own, far netip.Addr) error {
		return n.GRE("t0", own, far, lab.NoEncap)
	}, hasMessage}

	gre6 = tunnel{endtoend.IPv6, []lab.Term{lab.L4(unix.IPPROTO_GRE)}, gre.dig, hasMessage}

	l2tp = tunnel{endtoend.IPv4, outer(1701), func(n *lab.Net, own, far netip.Addr) error { return n.L2TP("t0", own, far) }, hasMessage}

	wireGuard = tunnel{endtoend.IPv4, outer(51820), func(n *lab.Net, own, far netip.Addr) error {
		return n.WireGuard("t0", far, own.String() == roadA)
	}, func(p *nfqueue.Packet) bool {
		const transport = 4 // the type of messages with data
		return len(p.Payload) > len(short) && p.Payload[28] == transport
	}}
)

func ipip(v endtoend.IPVersion) tunnel {
	protocol := byte(unix.IPPROTO_IPIP)
	return tunnel{v, []lab.Term{lab.L4(protocol)}, func(n *lab.Net, own, far netip.Addr) error {
		return n.IPIP("t0", own, far, lab.NoEncap)
	}, hasMessage}
}

// esp builds a road on which UDP is protected.
func esp(t *testing.T) places {
	r := endtoend.NewRouted(t)
	a, b := hosts(endtoend.IPv4)
	endtoend.SkipUnsupported(t, r.A.ESP(a, b, true))
	testkit.Must(t, r.B.ESP(a, b, false))
	pc, c := endtoend.UDPAcross(t, r.A, r.B, r.Address(endtoend.IPv4))
	return placesOn(r, endtoend.IPv4, []lab.Term{lab.L4(unix.IPPROTO_ESP)}, sendDatagram(pc, c))
}

// frames are the rows of the table about frames.
var frames = []*traffic{
	{name: "bridged frame", hooks: ofBridges, message: short, frame: true, build: bridge(), data: plainData},
	{name: "bridged frame with padding", hooks: ofBridges, message: short[:10], frame: true, build: paddedBridge, data: plainData},
	{name: "bridged frame with a VLAN tag", hooks: ofBridges, message: short, frame: true, build: bridge(unix.ETH_P_8021Q), data: plainData},
	{name: "bridged frame with two VLAN tags", hooks: ofBridges, message: short, frame: true, build: bridge(unix.ETH_P_8021AD, unix.ETH_P_8021Q), data: func(p *nfqueue.Packet) int {
		if !hasMessage(p) {
			return 0
		}
		return 4 // behind the inner tag
	}},
}

// bridge builds a bridge for frames with tags.
func bridge(tags ...uint16) func(*testing.T) places {
	return func(t *testing.T) places {
		a, between, b := endtoend.BridgedNets(t)
		for i, end := range []*lab.Net{a, b} {
			device := "eth0"
			for j, tag := range tags {
				name := []string{"v0", "v1"}[j]
				endtoend.SkipUnsupported(t, end.VLAN(name, device, tag, 5))
				testkit.Must(t, end.Up(name))
				device = name
			}
			testkit.Must(t, end.AddAddr(device, netip.MustParsePrefix([]string{innerA, innerB}[i]+"/24")))
		}
		pc, c := endtoend.UDPAcross(t, a, b, innerAddress)
		endtoend.Send(t, c, "first")
		endtoend.WantReceived(t, pc, "first")
		at := framesAt(between, sendDatagram(pc, c))
		return func(h lab.Hook) place {
			p := at(h)
			p.sendLarge = func(t *testing.T) {
				large, err := a.Dial("udp", innerAddress)
				testkit.Must(t, err)
				defer large.Close()
				endtoend.SetUDPSegment(t, large)
				endtoend.Send(t, large, long[:2*endtoend.GSOSize])
			}
			return p
		}
	}
}

// framesAt queues all frames. It does so behind br_netfilter's own hooks, which at
// 5.10 go on behind all of priority 0.
func framesAt(n *lab.Net, send sender) places {
	return func(lab.Hook) place {
		return place{net: n, family: lab.Bridge, priority: 10, send: send}
	}
}

// paddedBridge builds a bridge for frames that their sender pads to 60 bytes, as
// every Ethernet card does.
func paddedBridge(t *testing.T) places {
	a, between, b := endtoend.BridgedNets(t)
	src, dst := netip.MustParseAddr(innerA), netip.MustParseAddr(innerB)
	testkit.Must(t, b.AddAddr("eth0", netip.PrefixFrom(dst, 24)))
	pc, err := b.ListenPacket("udp", innerAddress)
	testkit.Must(t, err)
	t.Cleanup(func() { pc.Close() })
	macs := []net.HardwareAddr{endtoend.HardwareAddr(t, b), endtoend.HardwareAddr(t, a)}
	return framesAt(between, func(t *testing.T, message string) func(int) []byte {
		frame := slices.Concat(macs[0], macs[1], []byte{0x08, 0x00}, endtoend.UDPPacket(t, src, dst, message))
		endtoend.SendFrame(t, a, "eth0", append(frame, make([]byte, max(0, 60-len(frame)))...))
		return func(n int) []byte { return gather(t, pc, n) }
	})
}
