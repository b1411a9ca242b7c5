//go:build linux

package log

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// The question of one neighbour, as it leaves and as it comes.
func TestLogTellsOfARP(t *testing.T) {
	a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv4)
	out := endtoend.OpenLog(t, a, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	in := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{6}, Threshold: 1})
	endtoend.AddRule(t, a, lab.ARP, lab.Output, lab.Log(5, "asked", 0, 0))
	endtoend.AddRule(t, b, lab.ARP, lab.Input, lab.Log(6, "", 0, 0))
	macA := endtoend.HardwareAddr(t, a)
	index := func(n *lab.Net) int {
		i, err := n.Index("eth0")
		testkit.Must(t, err)
		return i
	}
	c, err := a.Dial("udp", net.JoinHostPort(addrB.String(), "9999"))
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "hello")

	question := bytes.Join([][]byte{
		{0, 1, 8, 0, 6, 4, 0, 1}, macA, addrA.AsSlice(), make([]byte, 6), addrB.AsSlice(),
	}, nil)
	frame := bytes.Join([][]byte{bytes.Repeat([]byte{0xff}, 6), macA, {8, 6}}, nil)
	p := endtoend.NextLogged(t, in, 1)[0]
	if p.Family != nfnl.ARP || p.Hook != nfnl.Input || p.Proto != endtoend.EtherARP || p.InDev != index(b) || p.OutDev != 0 {
		t.Errorf("heard %v", p)
	}
	if !bytes.Equal(p.Payload, question) || !bytes.Equal(p.HardwareAddr, macA) ||
		p.HardwareType != 1 || p.HardwareLen != 14 || !bytes.Equal(p.HardwareHeader, frame) || p.LinkHeader != nil {
		t.Errorf("heard %x from %v, type %d, header %x of %d bytes", p.Payload, p.HardwareAddr, p.HardwareType, p.HardwareHeader, p.HardwareLen)
	}
	p = endtoend.NextLogged(t, out, 1)[0]
	if p.Family != nfnl.ARP || p.Hook != nfnl.Output || p.Proto != endtoend.EtherARP || p.InDev != 0 || p.OutDev != index(a) || string(p.Prefix) != "asked" {
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
			a, _, addrA, addrB := endtoend.NetPair(t, endtoend.IPv4)
			chain, err := a.DeviceChain("eth0", lab.Egress, 0)
			if err != nil && !diagnose.KernelAtLeast(5, 16) {
				t.Skipf("no hook egress before Linux 5.16: %v", err)
			}
			testkit.Must(t, err)
			r := endtoend.OpenLog(t, a, nflog.Config{Groups: []uint16{5}, Threshold: 1})
			_, err = chain.Add(lab.Log(5, "frame", 0, 0))
			testkit.Must(t, err)
			eth0, err := a.Index("eth0")
			testkit.Must(t, err)
			packet := endtoend.UDPPacket(t, addrA, addrB, "hello")
			frame := bytes.Join([][]byte{endtoend.EthernetHeader(bytes.Repeat([]byte{0xff}, 6), endtoend.HardwareAddr(t, a))[:12], c.tag, {8, 0}, packet}, nil)
			endtoend.SendFrame(t, a, "eth0", frame)

			p := endtoend.NextLogged(t, r, 1)[0]
			if p.Family != nfnl.NetDev || p.Hook != nfnl.Egress || p.InDev != 0 || p.OutDev != eth0 || string(p.Prefix) != "frame" {
				t.Errorf("logged %v", p)
			}
			if !bytes.Equal(p.Payload, frame) || len(p.LinkHeader) < 14 || !bytes.HasPrefix(frame, p.LinkHeader) || p.VLAN != (attr.VLAN{}) {
				t.Errorf("payload %x, link header %x, tag %v", p.Payload, p.LinkHeader, p.VLAN)
			}
			if c.tag == nil && (p.Proto != endtoend.EtherIPv4 || len(p.LinkHeader) != 14) {
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
			a, n, _ := endtoend.BridgedNets(t)
			r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
			hooks := map[nfnl.Hook]lab.Hook{nfnl.Prerouting: lab.Prerouting, nfnl.Input: lab.Input, nfnl.Forward: lab.Forward, nfnl.Postrouting: lab.Postrouting}
			for hook := range hooks {
				// Behind br_netfilter's own, which at 5.10 go on behind all of priority 0.
				endtoend.AddRules(t, n, lab.Bridge, hooks[hook], 10, []lab.Term{lab.L4(17), lab.Log(5, hook.String(), 0, 0)})
			}
			frame := endtoend.TaggedFrame(t)
			if tag == (attr.VLAN{}) {
				frame = append(frame[:12], frame[16:]...)
			}
			index := map[string]int{}
			for _, name := range []string{"br0", "port0", "port1"} {
				i, err := n.Index(name)
				testkit.Must(t, err)
				index[name] = i
			}
			endtoend.SendFrame(t, a, "eth0", frame)
			for _, p := range endtoend.NextLogged(t, r, len(hooks)) {
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
	if p.Family != nfnl.Bridge || string(p.Prefix) != p.Hook.String() || p.Proto != endtoend.EtherIPv4 || p.VLAN != tag || len(p.Payload) != 33 {
		t.Errorf("logged %v, protocol %#x, tag %v", p, p.Proto, p.VLAN)
	}
	if !bytes.Equal(p.LinkHeader, append(bytes.Clone(addresses), 8, 0)) {
		t.Errorf("%v: link header %x", p.Hook, p.LinkHeader)
	}
	in, out := p.Hook != nfnl.Postrouting, p.Hook == nfnl.Forward || p.Hook == nfnl.Postrouting
	if in && (endtoend.EitherPort(p.PhysInDev, p.InDev) != index["port0"] || !bytes.Equal(p.HardwareAddr, addresses[6:])) {
		t.Errorf("%v: came in by %d (port %d) from %v", p.Hook, p.InDev, p.PhysInDev, p.HardwareAddr)
	}
	if p.PhysInDev != 0 && p.InDev != index["br0"] || p.PhysOutDev != 0 && p.OutDev != index["br0"] {
		t.Errorf("%v: in by %d, out by %d, want the bridge, %d", p.Hook, p.InDev, p.OutDev, index["br0"])
	}
	if out && endtoend.EitherPort(p.PhysOutDev, p.OutDev) != index["port1"] || !out && p.OutDev != 0 {
		t.Errorf("%v: leaves by %d (port %d)", p.Hook, p.OutDev, p.PhysOutDev)
	}
}
