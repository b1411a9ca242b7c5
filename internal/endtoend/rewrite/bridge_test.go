//go:build linux

package rewrite

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
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
	reported     testkit.Errors       // what OnError is called with
	verdicts     chan nfqueue.Verdict // for the packets to come
	seen         chan *nfqueue.Packet
}

// newCrossing makes a crossing with a rule of the bridge family that queues what
// is forwarded. It skips the test where the kernel cannot queue in that family.
func newCrossing(t *testing.T) *crossing {
	t.Helper()
	c := &crossing{verdicts: make(chan nfqueue.Verdict, 10), seen: make(chan *nfqueue.Packet, 10)}
	c.a, c.bridge, c.b = endtoend.BridgedNets(t)
	for i, port := range []string{"port0", "port1"} {
		index, err := c.bridge.Index(port)
		testkit.Must(t, err)
		c.ports[i] = index
	}
	// Behind br_netfilter's own, which at 5.10 go on behind all of priority 0.
	chain, err := c.bridge.Chain(lab.Bridge, lab.Forward, 10)
	testkit.Must(t, err)
	_, err = chain.Add(lab.L4(17), lab.Queue(4))
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	testkit.Must(t, err)
	c.macA, c.macB = endtoend.HardwareAddr(t, c.a), endtoend.HardwareAddr(t, c.b)
	c.packet = endtoend.UDPPacket(t, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), "hello")
	c.arrived = endtoend.OpenLog(t, c.b, nflog.Config{Groups: []uint16{5}})
	ingress, err := c.b.DeviceChain("eth0", lab.Ingress, 0)
	testkit.Must(t, err)
	_, err = ingress.Add(lab.L4(17), lab.Log(5, "", 0, 0)) // and nothing of what bridges tell each other
	testkit.Must(t, err)
	c.queue = endtoend.OpenQueue(t, c.bridge, nfqueue.Config{Queue: 4, OnError: c.reported.Add, Fallback: nfqueue.Accept()})
	endtoend.RunQueue(t, c.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		c.seen <- p.Clone()
		return <-c.verdicts
	})
	return c
}

// send sends a frame from a to b, with a tag in its header or none.
func (c *crossing) send(t *testing.T, tag []byte) {
	t.Helper()
	endtoend.SendFrame(t, c.a, "eth0", bytes.Join([][]byte{c.macB, c.macA, tag, {0x08, 0x00}, c.packet}, nil))
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
		p := testkit.Next(t, c.seen)
		if p.Family != nfnl.Bridge || p.Hook != nfnl.Forward || p.Proto != 0x0800 || !bytes.Equal(p.Payload, c.packet) {
			t.Errorf("%s: %v", f.name, p)
		}
		if p.VLAN != f.want || !bytes.Equal(p.LinkHeader, endtoend.EthernetHeader(c.macB, c.macA)) || !bytes.Equal(p.HardwareAddr, c.macA) {
			t.Errorf("%s: tag %v, header %x, address %v", f.name, p.VLAN, p.LinkHeader, p.HardwareAddr)
		}
		if in := endtoend.EitherPort(p.PhysInDev, p.InDev); in != c.ports[0] {
			t.Errorf("%s: came in by %d (port %d), want %d", f.name, p.InDev, p.PhysInDev, c.ports[0])
		}
		if out := endtoend.EitherPort(p.PhysOutDev, p.OutDev); out != c.ports[1] {
			t.Errorf("%s: leaves by %d (port %d), want %d", f.name, p.OutDev, p.PhysOutDev, c.ports[1])
		}
		if got := endtoend.NextLogged(t, c.arrived, 1)[0]; got.VLAN != f.want || !bytes.Equal(got.LinkHeader[:12], endtoend.EthernetHeader(c.macB, c.macA)[:12]) {
			t.Errorf("%s: arrived with tag %v, header %x", f.name, got.VLAN, got.LinkHeader)
		}
	}
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
		{"header", nil, nfqueue.Accept().WithLinkHeader(endtoend.EthernetHeader(c.macB, other)), endtoend.EthernetHeader(c.macB, other), attr.VLAN{}},
		{"tag", nil, nfqueue.Accept().WithVLAN(tag), endtoend.EthernetHeader(c.macB, c.macA), tag},
		{"another tag", []byte{0x81, 0x00, 0, 42}, nfqueue.Accept().WithVLAN(tag), endtoend.EthernetHeader(c.macB, c.macA), tag},
		{"both", nil, nfqueue.Accept().WithVLAN(tag).WithLinkHeader(endtoend.EthernetHeader(c.macB, other)), endtoend.EthernetHeader(c.macB, other), tag},
	} {
		c.verdicts <- f.v
		c.send(t, f.sent)
		testkit.Next(t, c.seen)
		got := endtoend.NextLogged(t, c.arrived, 1)[0]
		if got.VLAN != f.vlan || !bytes.Equal(got.LinkHeader[:12], f.header[:12]) {
			t.Errorf("%s: arrived with tag %v, header %x, want %v, %x", f.name, got.VLAN, got.LinkHeader, f.vlan, f.header)
		}
	}
	if len(c.reported.All()) != 0 {
		t.Errorf("OnError was called with %v", c.reported.All())
	}

	// What the kernel would drop the packet for gets the fallback instead.
	c.verdicts <- nfqueue.Accept().WithLinkHeader(endtoend.EthernetHeader(c.macB, other)[:13])
	c.send(t, nil)
	testkit.Next(t, c.seen)
	if got := endtoend.NextLogged(t, c.arrived, 1)[0]; !bytes.Equal(got.LinkHeader[:12], endtoend.EthernetHeader(c.macB, c.macA)[:12]) {
		t.Errorf("a header of 13 bytes: arrived with %x", got.LinkHeader)
	}
	c.reported.WantOnly(t, nfqueue.ErrPayload)
}

// Linux 7.2 lets no packet of a bridge be rewritten.
func TestPayloadOfABridgedPacketIsChangedOrRefused(t *testing.T) {
	c := newCrossing(t)
	changed := bytes.Clone(c.packet)
	changed[len(changed)-1] = '!'
	testkit.Must(t, nfqueue.Finish(changed))

	for _, v := range []nfqueue.Verdict{nfqueue.Accept().WithPayload(changed), nfqueue.Accept().WithRawPayload(changed)} {
		c.verdicts <- v
		c.send(t, nil)
		testkit.Next(t, c.seen)
		want := changed
		if endtoend.RestrictsRewrites() {
			want = c.packet // by the fallback
		}
		if got := endtoend.NextLogged(t, c.arrived, 1)[0].Payload; !bytes.Equal(got, want) {
			t.Errorf("arrived % x, want % x", got, want)
		}
	}
	if endtoend.RestrictsRewrites() {
		c.reported.WantOnly(t, nfqueue.ErrRewriteForbidden)
	}

	c.verdicts <- nfqueue.Hold()
	c.send(t, nil)
	decideByHand(t, c.queue, testkit.Next(t, c.seen), changed)
	c.verdicts <- nfqueue.Accept()
	c.send(t, nil)
	testkit.Next(t, c.seen)
	if dropped := bytes.Equal(endtoend.NextLogged(t, c.arrived, 1)[0].Payload, c.packet); dropped != endtoend.RestrictsRewrites() {
		t.Errorf("the kernel drops it: %v; the library refuses it: %v", dropped, endtoend.RestrictsRewrites())
	}
}
