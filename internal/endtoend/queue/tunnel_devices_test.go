//go:build linux

package queue

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// At postrouting a packet that a tunnel of this host sends has the tunnel's device
// for InDev, and the link layer is that of the packet in the tunnel.
func TestTunnelPacketShowsTheDeviceOfItsTunnel(t *testing.T) {
	a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv4)
	for i, end := range []struct {
		n           *lab.Net
		own, remote netip.Addr
	}{{a, addrA, addrB}, {b, addrB, addrA}} {
		if err := end.n.VXLAN("tunnel", end.own, end.remote, false); err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("this kernel has no VXLAN")
			}
			t.Fatal(err)
		}
		testkit.Must(t, end.n.AddAddr("tunnel", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)))
		testkit.Must(t, end.n.Up("tunnel"))
	}
	to, err := b.ListenPacket("udp", "10.0.0.2:9999")
	testkit.Must(t, err)
	defer to.Close()
	from, err := a.Dial("udp", "10.0.0.2:9999")
	testkit.Must(t, err)
	defer from.Close()
	endtoend.Send(t, from, "neighbours know each other")
	endtoend.Receive(t, to)

	r := endtoend.OpenLog(t, a, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	endtoend.AddRule(t, a, lab.IPv4, lab.Output, lab.UDP(4789), lab.Log(5, "", 0, 0))
	endtoend.AddRule(t, a, lab.IPv4, lab.Postrouting, lab.UDP(4789), lab.Log(5, "", 0, 0))
	endtoend.Send(t, from, "hello")
	endtoend.WantReceived(t, to, "hello")
	tunnel, err := a.Index("tunnel")
	testkit.Must(t, err)
	inner := addressOf(t, a, "tunnel")
	for _, p := range endtoend.NextLogged(t, r, 2) {
		switch p.Hook {
		case nfnl.Output:
			if p.InDev != 0 || p.HardwareAddr != nil || p.HardwareHeader != nil {
				t.Errorf("at output: in %d, from %v, header %x", p.InDev, p.HardwareAddr, p.HardwareHeader)
			}
		case nfnl.Postrouting:
			if p.InDev != tunnel || !bytes.Equal(p.HardwareAddr, inner) || len(p.HardwareHeader) != 14 || !bytes.Equal(p.HardwareHeader[6:12], inner) {
				t.Errorf("at postrouting: in %d, from %v, header %x, want in %d, from %v", p.InDev, p.HardwareAddr, p.HardwareHeader, tunnel, inner)
			}
		}
	}
}

// addressOf returns the link-layer address of a device.
func addressOf(t *testing.T, n *lab.Net, device string) (a net.HardwareAddr) {
	t.Helper()
	testkit.Must(t, n.Do(func() error {
		i, err := net.InterfaceByName(device)
		if err == nil {
			a = i.HardwareAddr
		}
		return err
	}))
	return a
}
