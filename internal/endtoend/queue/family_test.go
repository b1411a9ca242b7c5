//go:build linux

package queue

import (
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A chain of the family inet sees packets of both versions, and they say which
// they are of.
func TestInetChainHasBothVersions(t *testing.T) {
	n := endtoend.NewNet(t)
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	endtoend.AddRule(t, n, lab.Inet, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0), lab.Queue(7))
	queued := make(chan *nfqueue.Packet, 1)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		queued <- p.Clone()
		return nfqueue.Accept()
	})
	for proto, v := range map[uint16]endtoend.IPVersion{endtoend.EtherIPv4: endtoend.IPv4, endtoend.EtherIPv6: endtoend.IPv6} {
		to, from := endtoend.UDPPair(t, n, "udp", v.Address())
		endtoend.Send(t, from, "hello")
		endtoend.WantReceived(t, to, "hello")
		if p := testkit.Next(t, queued); p.Family != v.PacketFamily || p.Hook != nfnl.Output || p.Proto != proto || string(p.Payload[v.Headers:]) != "hello" {
			t.Errorf("queued %v", p)
		}
		if p := endtoend.NextLogged(t, r, 1)[0]; p.Family != v.PacketFamily || p.Hook != nfnl.Output || p.Proto != proto || string(p.Payload[v.Headers:]) != "hello" {
			t.Errorf("logged %v", p)
		}
	}
}

// Only packets of the IP and bridge families can be queued; the kernel refuses a
// rule that would queue others. Kernels before 5.19 do not, and drop the packet.
func TestARPAndFramesCannotBeQueued(t *testing.T) {
	if !diagnose.KernelAtLeast(5, 19) {
		t.Skip("this kernel takes the rules")
	}
	a, _, _, _ := endtoend.NetPair(t, endtoend.IPv4)
	arp, err := a.Chain(lab.ARP, lab.Input, 0)
	testkit.Must(t, err)
	ingress, err := a.DeviceChain("eth0", lab.Ingress, 0)
	testkit.Must(t, err)
	for _, chain := range []*lab.Chain{arp, ingress} {
		if _, err := chain.Add(lab.Queue(7)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a queue rule in chain %v: %v, want errors.ErrUnsupported", chain, err)
		}
	}
}

// With br_netfilter packets that cross a bridge pass the hooks of IP too. They
// then name the bridge and its ports.
func TestBridgedPacketsAtIPHooks(t *testing.T) {
	a, n, _ := endtoend.BridgedNets(t)
	if err := n.Sysctl("net/bridge/bridge-nf-call-iptables", "1"); err != nil {
		t.Skipf("this kernel, or this user, cannot: %v", err)
	}
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	endtoend.AddRule(t, n, lab.IPv4, lab.Forward, lab.UDP(9999), lab.Log(5, "", 0, 0), lab.Queue(7))
	queued := make(chan *nfqueue.Packet, 1000)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		queued <- p.Clone()
		return nfqueue.Accept()
	})
	frame := endtoend.TaggedFrame(t)
	frame = append(frame[:12], frame[16:]...)
	testkit.Await(t, "for the ports to forward", func() bool {
		endtoend.SendFrame(t, a, "eth0", frame)
		return len(queued) > 0
	})
	type devices struct{ in, out, physIn, physOut int }
	var want devices
	for name, i := range map[string]*int{"port0": &want.physIn, "port1": &want.physOut, "br0": &want.in} {
		var err error
		*i, err = n.Index(name)
		testkit.Must(t, err)
	}
	want.out = want.in
	p := testkit.Next(t, queued)
	if got := (devices{p.InDev, p.OutDev, p.PhysInDev, p.PhysOutDev}); p.Family != nfnl.IPv4 || p.Hook != nfnl.Forward || got != want {
		t.Errorf("queued %v, %+v, want %+v", p, got, want)
	}
	l := endtoend.NextLogged(t, r, 1)[0]
	if got := (devices{l.InDev, l.OutDev, l.PhysInDev, l.PhysOutDev}); l.Family != nfnl.IPv4 || l.Hook != nfnl.Forward || got != want {
		t.Errorf("logged %v, %+v, want %+v", l, got, want)
	}
}
