//go:build linux

package endtoend

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A crossing is a bridge in a namespace between two others.
type crossing struct {
	bridge, a, b *lab.Net
	queue        *nfqueue.Queue
	ports        [2]int               // indexes of the bridge's, to a and to b
	macA, macB   net.HardwareAddr     // of eth0 there
	arrived      *nflog.Reader        // of what comes out to b
	packet       []byte               // an IPv4 packet from a to b
	told         collector            // what OnError is told
	verdicts     chan nfqueue.Verdict // for the packets to come
	seen         chan *nfqueue.Packet
}

// newCrossing makes a crossing with a rule of the bridge family that queues what
// is forwarded. It skips the test where the kernel cannot queue in that family.
func newCrossing(t *testing.T) *crossing {
	t.Helper()
	c := &crossing{bridge: newNet(t), a: newNet(t), b: newNet(t),
		verdicts: make(chan nfqueue.Verdict, 10), seen: make(chan *nfqueue.Packet, 10)}
	must(t, c.bridge.Bridge("br0"))
	must(t, c.bridge.Up("br0"))
	for i, end := range []*lab.Net{c.a, c.b} {
		port := []string{"port0", "port1"}[i]
		must(t, c.bridge.Veth(port, end, "eth0"))
		must(t, c.bridge.SetMaster(port, "br0"))
		must(t, c.bridge.Up(port))
		must(t, end.Up("eth0"))
		index, err := c.bridge.Index(port)
		must(t, err)
		c.ports[i] = index
	}
	// Behind br_netfilter's own, which at 5.10 go on behind all of priority 0.
	chain, err := c.bridge.Chain(lab.Bridge, lab.Forward, 10)
	must(t, err)
	_, err = chain.Add(lab.L4(17), lab.Queue(4))
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	c.macA, c.macB = hardwareAddr(t, c.a), hardwareAddr(t, c.b)
	c.packet = udpPacket(t, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), "hello")
	c.arrived = openLog(t, c.b, nflog.Config{Groups: []uint16{5}})
	ingress, err := c.b.DeviceChain("eth0", lab.Ingress, 0)
	must(t, err)
	_, err = ingress.Add(lab.L4(17), lab.Log(5, "", 0, 0)) // and nothing of what bridges tell each other
	must(t, err)
	c.queue = openQueue(t, c.bridge, nfqueue.Config{Queue: 4, OnError: c.told.add, Fallback: nfqueue.Accept()})
	runQueue(t, c.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		c.seen <- p.Clone()
		return <-c.verdicts
	})
	return c
}

// hardwareAddr returns the address of eth0.
func hardwareAddr(t *testing.T, n *lab.Net) (a net.HardwareAddr) {
	t.Helper()
	must(t, n.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			a = i.HardwareAddr
		}
		return err
	}))
	return a
}

// send sends a frame from a to b, with a tag in its header or none.
func (c *crossing) send(t *testing.T, tag []byte) {
	t.Helper()
	sendFrame(t, c.a, "eth0", bytes.Join([][]byte{c.macB, c.macA, tag, {0x08, 0x00}, c.packet}, nil))
}

// header returns an Ethernet header.
func header(to, from net.HardwareAddr) []byte {
	return bytes.Join([][]byte{to, from, {0x08, 0x00}}, nil)
}

func TestBridgedPacketTellsItsLinkLayer(t *testing.T) {
	c := newCrossing(t)
	for _, f := range []struct {
		name string
		tag  []byte
		want attr.VLAN
	}{
		{"untagged", nil, attr.VLAN{}},
		{"802.1Q", []byte{0x81, 0x00, 0xa0, 42}, attr.VLAN{Protocol: 0x8100, TCI: 0xa02a}},
	} {
		c.verdicts <- nfqueue.Accept()
		c.send(t, f.tag)
		p := next(t, c.seen)
		if p.Family != nfnl.Bridge || p.Hook != nfnl.Forward || p.Proto != 0x0800 || !bytes.Equal(p.Payload, c.packet) {
			t.Errorf("%s: %v", f.name, p)
		}
		if p.VLAN != f.want || !bytes.Equal(p.LinkHeader, header(c.macB, c.macA)) || !bytes.Equal(p.HardwareAddr, c.macA) {
			t.Errorf("%s: tag %v, header %x, address %v", f.name, p.VLAN, p.LinkHeader, p.HardwareAddr)
		}
		if in := port(p.PhysInDev, p.InDev); in != c.ports[0] {
			t.Errorf("%s: came in by %d (port %d), want %d", f.name, p.InDev, p.PhysInDev, c.ports[0])
		}
		if out := port(p.PhysOutDev, p.OutDev); out != c.ports[1] {
			t.Errorf("%s: leaves by %d (port %d), want %d", f.name, p.OutDev, p.PhysOutDev, c.ports[1])
		}
		if got := logged(t, c.arrived, 1)[0]; got.VLAN != f.want || !bytes.Equal(got.LinkHeader[:12], header(c.macB, c.macA)[:12]) {
			t.Errorf("%s: arrived with tag %v, header %x", f.name, got.VLAN, got.LinkHeader)
		}
	}
}

// port returns the index of the port by which a packet goes: without
// CONFIG_BRIDGE_NETFILTER that is where else the bridge is.
func port(physical, device int) int {
	if physical != 0 {
		return physical
	}
	return device
}

func TestLinkLayerOfABridgedPacketIsChanged(t *testing.T) {
	c := newCrossing(t)
	other := net.HardwareAddr{2, 0, 0, 0, 0, 99}
	tag := attr.VLAN{Protocol: 0x8100, TCI: 0x600a}

	for _, f := range []struct {
		name   string
		sent   []byte
		v      nfqueue.Verdict
		header []byte
		vlan   attr.VLAN
	}{
		{"header", nil, nfqueue.Accept().WithLinkHeader(header(c.macB, other)), header(c.macB, other), attr.VLAN{}},
		{"tag", nil, nfqueue.Accept().WithVLAN(tag), header(c.macB, c.macA), tag},
		{"another tag", []byte{0x81, 0x00, 0, 42}, nfqueue.Accept().WithVLAN(tag), header(c.macB, c.macA), tag},
		{"both", nil, nfqueue.Accept().WithVLAN(tag).WithLinkHeader(header(c.macB, other)), header(c.macB, other), tag},
	} {
		c.verdicts <- f.v
		c.send(t, f.sent)
		next(t, c.seen)
		got := logged(t, c.arrived, 1)[0]
		if got.VLAN != f.vlan || !bytes.Equal(got.LinkHeader[:12], f.header[:12]) {
			t.Errorf("%s: arrived with tag %v, header %x, want %v, %x", f.name, got.VLAN, got.LinkHeader, f.vlan, f.header)
		}
	}
	if len(c.told.errs) != 0 {
		t.Errorf("OnError was told %v", c.told.errs)
	}

	// What the kernel would drop the packet for gets the fallback instead.
	c.verdicts <- nfqueue.Accept().WithLinkHeader(header(c.macB, other)[:13])
	c.send(t, nil)
	next(t, c.seen)
	if got := logged(t, c.arrived, 1)[0]; !bytes.Equal(got.LinkHeader[:12], header(c.macB, c.macA)[:12]) {
		t.Errorf("a header of 13 bytes: arrived with %x", got.LinkHeader)
	}
	c.told.wantOnly(t, nfqueue.ErrPayload)
}
