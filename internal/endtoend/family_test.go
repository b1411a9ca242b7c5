//go:build linux

package endtoend

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// EtherTypes, as in linux/if_ether.h.
const (
	etherIPv4 = 0x0800 // ETH_P_IP
	etherARP  = 0x0806 // ETH_P_ARP
	etherIPv6 = 0x86dd // ETH_P_IPV6
)

// A chain of the family inet sees packets of both versions, and they say which
// they are of.
func TestInetChainHasBothVersions(t *testing.T) {
	n := newNet(t)
	q := openQueue(t, n, nfqueue.Config{Queue: 7})
	r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	addRule(t, n, lab.Inet, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0), lab.Queue(7))
	queued := make(chan *nfqueue.Packet, 1)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		queued <- p.Clone()
		return nfqueue.Accept()
	})
	for proto, v := range map[uint16]ipVersion{etherIPv4: ipv4, etherIPv6: ipv6} {
		to, from := udpPair(t, n, "udp", v.address())
		send(t, from, "hello")
		wantReceived(t, to, "hello")
		if p := next(t, queued); p.Family != v.packets || p.Hook != nfnl.Output || p.Proto != proto || string(p.Payload[v.headers:]) != "hello" {
			t.Errorf("queued %v", p)
		}
		if p := logged(t, r, 1)[0]; p.Family != v.packets || p.Hook != nfnl.Output || p.Proto != proto || string(p.Payload[v.headers:]) != "hello" {
			t.Errorf("logged %v", p)
		}
	}
}

// The question of one neighbour, as it leaves and as it comes.
func TestLogTellsOfARP(t *testing.T) {
	a, b, addrA, addrB := wire(t, ipv4)
	out := openLog(t, a, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	in := openLog(t, b, nflog.Config{Groups: []uint16{6}, Threshold: 1})
	addRule(t, a, lab.ARP, lab.Output, lab.Log(5, "asked", 0, 0))
	addRule(t, b, lab.ARP, lab.Input, lab.Log(6, "", 0, 0))
	macA := hardwareAddr(t, a)
	index := func(n *lab.Net) int {
		i, err := n.Index("eth0")
		must(t, err)
		return i
	}
	c, err := a.Dial("udp", net.JoinHostPort(addrB.String(), "9999"))
	must(t, err)
	defer c.Close()
	send(t, c, "hello")

	question := bytes.Join([][]byte{
		{0, 1, 8, 0, 6, 4, 0, 1}, macA, addrA.AsSlice(), make([]byte, 6), addrB.AsSlice(),
	}, nil)
	frame := bytes.Join([][]byte{bytes.Repeat([]byte{0xff}, 6), macA, {8, 6}}, nil)
	p := logged(t, in, 1)[0]
	if p.Family != nfnl.ARP || p.Hook != nfnl.Input || p.Proto != etherARP || p.InDev != index(b) || p.OutDev != 0 {
		t.Errorf("heard %v", p)
	}
	if !bytes.Equal(p.Payload, question) || !bytes.Equal(p.HardwareAddr, macA) ||
		p.HardwareType != 1 || p.HardwareLen != 14 || !bytes.Equal(p.HardwareHeader, frame) || p.LinkHeader != nil {
		t.Errorf("heard %x from %v, type %d, header %x of %d bytes", p.Payload, p.HardwareAddr, p.HardwareType, p.HardwareHeader, p.HardwareLen)
	}
	p = logged(t, out, 1)[0]
	if p.Family != nfnl.ARP || p.Hook != nfnl.Output || p.Proto != etherARP || p.InDev != 0 || p.OutDev != index(a) || string(p.Prefix) != "asked" {
		t.Errorf("asked %v", p)
	}
	if !bytes.Equal(p.Payload, append(frame, question...)) || p.HardwareAddr != nil || p.HardwareHeader != nil || p.LinkHeader != nil {
		t.Errorf("asked %x, addresses %v and %x", p.Payload, p.HardwareAddr, p.HardwareHeader)
	}
}

func TestEgressTellsLinkHeaderAndTag(t *testing.T) {
	for _, c := range []struct {
		name string
		tag  []byte // that the sender wrote into the frame, which the kernel leaves there
	}{
		{"untagged", nil},
		{"802.1Q", []byte{0x81, 0x00, 0xa0, 42}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _, addrA, addrB := wire(t, ipv4)
			chain, err := a.DeviceChain("eth0", lab.Egress, 0)
			if err != nil && !kernelSince(5, 16) {
				t.Skipf("no hook egress before Linux 5.16: %v", err)
			}
			must(t, err)
			r := openLog(t, a, nflog.Config{Groups: []uint16{5}, Threshold: 1})
			_, err = chain.Add(lab.Log(5, "frame", 0, 0))
			must(t, err)
			eth0, err := a.Index("eth0")
			must(t, err)
			packet := udpPacket(t, addrA, addrB, "hello")
			frame := bytes.Join([][]byte{header(bytes.Repeat([]byte{0xff}, 6), hardwareAddr(t, a))[:12], c.tag, {8, 0}, packet}, nil)
			sendFrame(t, a, "eth0", frame)

			p := logged(t, r, 1)[0]
			if p.Family != nfnl.NetDev || p.Hook != nfnl.Egress || p.InDev != 0 || p.OutDev != eth0 || string(p.Prefix) != "frame" {
				t.Errorf("logged %v", p)
			}
			if !bytes.Equal(p.Payload, frame) || len(p.LinkHeader) < 14 || !bytes.HasPrefix(frame, p.LinkHeader) || p.VLAN != (attr.VLAN{}) {
				t.Errorf("payload %x, link header %x, tag %v", p.Payload, p.LinkHeader, p.VLAN)
			}
			if c.tag == nil && (p.Proto != etherIPv4 || len(p.LinkHeader) != 14) {
				t.Errorf("protocol %#x, link header %x", p.Proto, p.LinkHeader)
			}
		})
	}
}

// A packet that crosses a bridge is logged on its way in, through and out, one
// that is for the bridge on its way up.
func TestLogTellsOfBridgedPackets(t *testing.T) {
	for _, tag := range []attr.VLAN{{}, {Protocol: 0x8100, TCI: 0xa02a}} {
		t.Run(fmt.Sprint("tag ", tag), func(t *testing.T) {
			a, n, _ := bridged(t)
			r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
			hooks := map[nfnl.Hook]lab.Hook{nfnl.Prerouting: lab.Prerouting, nfnl.Input: lab.Input, nfnl.Forward: lab.Forward, nfnl.Postrouting: lab.Postrouting}
			for hook := range hooks {
				// Behind br_netfilter's own, which at 5.10 go on behind all of priority 0.
				addRules(t, n, lab.Bridge, hooks[hook], 10, []lab.Term{lab.L4(17), lab.Log(5, hook.String(), 0, 0)})
			}
			frame := tagged(t)
			if tag == (attr.VLAN{}) {
				frame = append(frame[:12], frame[16:]...)
			}
			index := map[string]int{}
			for _, name := range []string{"br0", "to-a", "to-b"} {
				i, err := n.Index(name)
				must(t, err)
				index[name] = i
			}
			sendFrame(t, a, "eth0", frame)
			for _, p := range logged(t, r, len(hooks)) {
				if _, ok := hooks[p.Hook]; !ok {
					t.Errorf("logged twice: %v", p)
				}
				delete(hooks, p.Hook)
				wantBridged(t, p, frame[:12], tag, index)
			}
		})
	}
}

// wantBridged checks what a packet says that came from a broadcast of a.
func wantBridged(t *testing.T, p *nflog.Packet, addresses []byte, tag attr.VLAN, index map[string]int) {
	t.Helper()
	if p.Family != nfnl.Bridge || string(p.Prefix) != p.Hook.String() || p.Proto != etherIPv4 || p.VLAN != tag || len(p.Payload) != 33 {
		t.Errorf("logged %v, protocol %#x, tag %v", p, p.Proto, p.VLAN)
	}
	if !bytes.Equal(p.LinkHeader, append(bytes.Clone(addresses), 8, 0)) {
		t.Errorf("%v: link header %x", p.Hook, p.LinkHeader)
	}
	in, out := p.Hook != nfnl.Postrouting, p.Hook == nfnl.Forward || p.Hook == nfnl.Postrouting
	if in && (port(p.PhysInDev, p.InDev) != index["to-a"] || !bytes.Equal(p.HardwareAddr, addresses[6:])) {
		t.Errorf("%v: came in by %d (port %d) from %v", p.Hook, p.InDev, p.PhysInDev, p.HardwareAddr)
	}
	if p.PhysInDev != 0 && p.InDev != index["br0"] || p.PhysOutDev != 0 && p.OutDev != index["br0"] {
		t.Errorf("%v: in by %d, out by %d, want the bridge, %d", p.Hook, p.InDev, p.OutDev, index["br0"])
	}
	if out && port(p.PhysOutDev, p.OutDev) != index["to-b"] || !out && p.OutDev != 0 {
		t.Errorf("%v: leaves by %d (port %d)", p.Hook, p.OutDev, p.PhysOutDev)
	}
}

// Only packets of the IP and bridge families can be queued; the kernel refuses a
// rule that would queue others. Kernels before 5.19 do not, and drop the packet.
func TestARPAndFramesCannotBeQueued(t *testing.T) {
	if !kernelSince(5, 19) {
		t.Skip("this kernel takes the rules")
	}
	a, _, _, _ := wire(t, ipv4)
	arp, err := a.Chain(lab.ARP, lab.Input, 0)
	must(t, err)
	ingress, err := a.DeviceChain("eth0", lab.Ingress, 0)
	must(t, err)
	for _, chain := range []*lab.Chain{arp, ingress} {
		if _, err := chain.Add(lab.Queue(7)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a queue rule in chain %v: %v, want errors.ErrUnsupported", chain, err)
		}
	}
}

// With br_netfilter packets that cross a bridge pass the hooks of IP too. They
// then name the bridge and its ports.
func TestBridgedPacketsAtIPHooks(t *testing.T) {
	a, n, _ := bridged(t)
	if err := n.Sysctl("net/bridge/bridge-nf-call-iptables", "1"); err != nil {
		t.Skipf("this kernel, or this user, cannot: %v", err)
	}
	q := openQueue(t, n, nfqueue.Config{Queue: 7})
	r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	addRule(t, n, lab.IPv4, lab.Forward, lab.UDP(9999), lab.Log(5, "", 0, 0), lab.Queue(7))
	queued := make(chan *nfqueue.Packet, 1000)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		queued <- p.Clone()
		return nfqueue.Accept()
	})
	frame := tagged(t)
	frame = append(frame[:12], frame[16:]...)
	await(t, "for the ports to forward", func() bool {
		sendFrame(t, a, "eth0", frame)
		return len(queued) > 0
	})
	type devices struct{ in, out, physIn, physOut int }
	var want devices
	for name, i := range map[string]*int{"to-a": &want.physIn, "to-b": &want.physOut, "br0": &want.in} {
		var err error
		*i, err = n.Index(name)
		must(t, err)
	}
	want.out = want.in
	p := next(t, queued)
	if got := (devices{p.InDev, p.OutDev, p.PhysInDev, p.PhysOutDev}); p.Family != nfnl.IPv4 || p.Hook != nfnl.Forward || got != want {
		t.Errorf("queued %v, %+v, want %+v", p, got, want)
	}
	l := logged(t, r, 1)[0]
	if got := (devices{l.InDev, l.OutDev, l.PhysInDev, l.PhysOutDev}); l.Family != nfnl.IPv4 || l.Hook != nfnl.Forward || got != want {
		t.Errorf("logged %v, %+v, want %+v", l, got, want)
	}
}
