//go:build linux

package log

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

func TestCaptureLog(t *testing.T) {
	endtoend.CaptureAll(t, "nflog", map[string]func(t *testing.T) *endtoend.Tape{
		"output-owner": logOwner,
		"prerouting":   logPrerouting,
		"ingress-vlan": logIngress,
		"bridge-vlan":  logBridge,
		"arp-output":   logARP,
		"egress":       logEgress,
	})
}

// logOwner captures packets that the kernel has collected.
func logOwner(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nflog.Config{Threshold: 3, FlushTimeout: time.Hour, GlobalSequence: true}.Bind(5))
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.SetMark(0xfeed), lab.Log(5, "sent: ", 0, 0))
	pc, err := n.ListenPacket("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	defer pc.Close()
	c, _, _ := endtoend.DialAs(t, n, endtoend.IPv4.Address())
	endtoend.Send(t, c, "one", "two", "three")
	for i, p := range tp.Logged() {
		if !p.HasOwner || p.Mark != 0xfeed || p.Seq != uint32(i) || p.GlobalSeq != uint32(i+1) || string(p.Prefix) != "sent: " {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logPrerouting(t *testing.T) *endtoend.Tape {
	a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv6)
	endtoend.TakeReceiptTimes(t, b)
	tp := endtoend.NewTape(t, b)
	tp.Configure(nflog.Config{Threshold: 1}.Bind(5))
	endtoend.AddRule(t, b, lab.IPv6, lab.Prerouting, lab.UDP(9999), lab.Log(5, "", 0, 0))
	endtoend.SendRaw(t, a, addrB, endtoend.UDPPacket(t, addrA, addrB, "hello"))
	for _, p := range tp.Logged() {
		if p.InDev == 0 || len(p.HardwareAddr) != 6 || len(p.HardwareHeader) != 14 || p.HardwareType != 1 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logIngress(t *testing.T) *endtoend.Tape {
	a, b, _, _ := endtoend.NetPair(t, endtoend.IPv4)
	tp := endtoend.NewTape(t, b)
	tp.Configure(nflog.Config{Threshold: 1}.Bind(5))
	chain, err := b.DeviceChain("eth0", lab.Ingress, 0)
	testkit.Must(t, err)
	_, err = chain.Add(lab.Log(5, "frame", 0, 0))
	testkit.Must(t, err)
	endtoend.SendFrame(t, a, "eth0", endtoend.TaggedFrame(t))
	for _, p := range tp.Logged() {
		if p.Family != nfnl.NetDev || p.VLAN.TCI != 0xa02a || len(p.LinkHeader) != 14 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logBridge(t *testing.T) *endtoend.Tape {
	a, n, _ := endtoend.BridgedNets(t)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nflog.Config{Threshold: 1}.Bind(5))
	endtoend.AddRule(t, n, lab.Bridge, lab.Forward, lab.L4(unix.IPPROTO_UDP), lab.Log(5, "crossed", 0, 0))
	endtoend.SendFrame(t, a, "eth0", endtoend.TaggedFrame(t))
	for _, p := range tp.Logged() {
		if p.Family != nfnl.Bridge || p.VLAN.TCI != 0xa02a || len(p.LinkHeader) != 14 || endtoend.EitherPort(p.PhysOutDev, p.OutDev) == 0 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logARP(t *testing.T) *endtoend.Tape {
	a, _, _, addrB := endtoend.NetPair(t, endtoend.IPv4)
	tp := endtoend.NewTape(t, a)
	tp.Configure(nflog.Config{Threshold: 1}.Bind(5))
	endtoend.AddRule(t, a, lab.ARP, lab.Output, lab.Log(5, "asked", 0, 0))
	c, err := a.Dial("udp", netip.AddrPortFrom(addrB, 9999).String())
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "hello")
	for _, p := range tp.Logged() {
		if p.Family != nfnl.ARP || p.OutDev == 0 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logEgress(t *testing.T) *endtoend.Tape {
	a, _, _, _ := endtoend.NetPair(t, endtoend.IPv4)
	chain, err := a.DeviceChain("eth0", lab.Egress, 0)
	if err != nil && !diagnose.KernelAtLeast(5, 16) {
		t.Skip(err)
	}
	testkit.Must(t, err)
	tp := endtoend.NewTape(t, a)
	tp.Configure(nflog.Config{Threshold: 1}.Bind(5))
	_, err = chain.Add(lab.Log(5, "frame", 0, 0))
	testkit.Must(t, err)
	endtoend.SendFrame(t, a, "eth0", endtoend.TaggedFrame(t))
	for _, p := range tp.Logged() {
		if p.Family != nfnl.NetDev || p.OutDev == 0 || len(p.LinkHeader) == 0 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}
