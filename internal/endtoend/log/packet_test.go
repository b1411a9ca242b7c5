//go:build linux

package log

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

func TestLogTellsOfASentPacket(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}})
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.UDP(9999), lab.SetMark(0xbeef), lab.Log(5, "sent: ", 0, 0))
		lo, err := n.Index("lo")
		testkit.Must(t, err)
		c, uid, gid := endtoend.DialAs(t, n, v.Address())
		before := time.Now()
		endtoend.Send(t, c, "hello")
		p := endtoend.NextLogged(t, r, 1)[0]
		if p.Group != 5 || p.Family != v.PacketFamily || p.Hook != nfnl.Output || string(p.Prefix) != "sent: " ||
			p.Mark != 0xbeef || p.InDev != 0 || p.OutDev != lo || p.Seq != 0 || p.GlobalSeq != 0 {
			t.Errorf("logged %+v", p)
		}
		if !p.HasOwner || int(p.UID) != uid || int(p.GID) != gid {
			t.Errorf("owner %v, UID %d, GID %d, want %d and %d", p.HasOwner, p.UID, p.GID, uid, gid)
		}
		if got := v.Bodies([]*nflog.Packet{p})[0]; got != "hello" {
			t.Errorf("payload %q", got)
		}
		if !p.ReceiptTime || p.Time.Before(before.Round(0)) || p.Time.After(time.Now()) {
			t.Errorf("time %v, of receipt %v", p.Time, p.ReceiptTime)
		}
	})
}

func TestLogTellsOfAReceivedPacket(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, _, addr := endtoend.NetPair(t, v)
		r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}})
		endtoend.AddRule(t, b, v.Family, lab.Prerouting, lab.UDP(9999), lab.Log(5, "", 0, 0))
		eth0, err := b.Index("eth0")
		testkit.Must(t, err)
		c, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
		testkit.Must(t, err)
		defer c.Close()
		takeTimes(t, b)
		before := time.Now().Truncate(time.Microsecond)
		var p *nflog.Packet
		testkit.Await(t, "the kernel to take times", func() bool {
			endtoend.Send(t, c, "hello")
			p = endtoend.NextLogged(t, r, 1)[0]
			return !p.ReceiptTime
		})
		if p.Family != v.PacketFamily || p.Hook != nfnl.Prerouting || len(p.Prefix) != 0 || p.InDev != eth0 ||
			p.OutDev != 0 || p.Mark != 0 || p.HasOwner || p.HardwareType != 1 || p.HardwareLen != 14 {
			t.Errorf("logged %+v", p)
		}
		if len(p.HardwareHeader) != 14 || !bytes.Equal(p.HardwareHeader[6:12], p.HardwareAddr) ||
			binary.BigEndian.Uint16(p.HardwareHeader[12:]) != p.Proto {
			t.Errorf("hardware header % x, address %v, protocol %#x", p.HardwareHeader, p.HardwareAddr, p.Proto)
		}
		if p.Time.Before(before.Round(0)) || p.Time.After(time.Now()) {
			t.Errorf("time %v", p.Time)
		}
	})
}

// takeTimes makes kernels before 6.6 take the time of every packet, which they
// do while a socket asks for it, some time after it has begun to.
func takeTimes(t testing.TB, n *lab.Net) {
	t.Helper()
	testkit.Must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1)
	}))
}

func TestGroupsOnOneSocket(t *testing.T) {
	const sent = 10
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5, 0, 65535}, GlobalSequence: true})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "a", 0, 0), lab.Log(65535, "b", 0, 0), lab.Log(0, "c", 0, 0))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	for i := range sent {
		endtoend.Send(t, from, fmt.Sprint(i))
	}
	order := map[uint16]uint32{5: 0, 65535: 1, 0: 2} // in which the rule logs
	next := map[uint16]uint32{}
	for _, p := range endtoend.NextLogged(t, r, 3*sent) {
		if p.Seq != next[p.Group] || p.GlobalSeq != 3*p.Seq+order[p.Group]+1 || p.Prefix[0] != "abc"[order[p.Group]] {
			t.Errorf("group %d %q: number %d, of all %d", p.Group, p.Prefix, p.Seq, p.GlobalSeq)
		}
		next[p.Group]++
	}
	if s := r.Stats(); s.Packets != 3*sent || s.Lost != 0 || s.Malformed != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCopyRangeAndSnaplen(t *testing.T) {
	body := strings.Repeat("x", 1000)
	for _, c := range []struct {
		cfg     nflog.Config
		snaplen uint32
		want    int
	}{
		{nflog.Config{}, 0, 1028},
		{nflog.Config{CopyRange: 40}, 0, 40},
		{nflog.Config{CopyRange: 40}, 24, 24},
		{nflog.Config{CopyRange: 40}, 100, 40},
		{nflog.Config{CopyRange: 2000}, 0, 1028},
		{nflog.Config{MetadataOnly: true}, 0, 0},
	} {
		n := endtoend.NewNet(t)
		c.cfg.Groups = []uint16{5}
		r := endtoend.OpenLog(t, n, c.cfg)
		endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", c.snaplen, 0))
		_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
		endtoend.Send(t, from, body)
		p := endtoend.NextLogged(t, r, 1)[0]
		if len(p.Payload) != c.want || p.Proto != 0x0800 {
			t.Errorf("CopyRange %d, MetadataOnly %v, snaplen %d: %d bytes, want %d",
				c.cfg.CopyRange, c.cfg.MetadataOnly, c.snaplen, len(p.Payload), c.want)
		}
	}
}

func TestIngressTellsLinkHeaderAndTag(t *testing.T) {
	for _, c := range []struct {
		name string
		tag  []byte
		want attr.VLAN
	}{
		{"untagged", nil, attr.VLAN{}},
		{"802.1Q", []byte{0x81, 0x00, 0xa0, 42}, attr.VLAN{Protocol: 0x8100, TCI: 0xa02a}},
		{"802.1ad", []byte{0x88, 0xa8, 0x01, 10}, attr.VLAN{Protocol: 0x88a8, TCI: 266}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv4)
			r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}})
			chain, err := b.DeviceChain("eth0", lab.Ingress, 0)
			testkit.Must(t, err)
			_, err = chain.Add(lab.Log(5, "frame", 0, 0))
			testkit.Must(t, err)
			eth0, err := b.Index("eth0")
			testkit.Must(t, err)

			src := net.HardwareAddr{2, 0, 0, 0, 0, 1}
			addresses := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, src...)
			packet := endtoend.UDPPacket(t, addrA, addrB, "hello")
			header := append(bytes.Clone(addresses), 0x08, 0x00)
			frame := bytes.Join([][]byte{addresses, c.tag, {0x08, 0x00}, packet}, nil)
			endtoend.SendFrame(t, a, "eth0", frame)

			p := endtoend.NextLogged(t, r, 1)[0]
			if p.Family != nfnl.NetDev || p.Hook != nfnl.Ingress || p.InDev != eth0 || string(p.Prefix) != "frame" {
				t.Errorf("logged %+v", p)
			}
			if !bytes.Equal(p.LinkHeader, header) || p.VLAN != c.want || !bytes.Equal(p.HardwareAddr, src) {
				t.Errorf("link header % x, tag %v, from %v; want % x, %v, %v", p.LinkHeader, p.VLAN, p.HardwareAddr, header, c.want, src)
			}
			if p.Proto != 0x0800 || !bytes.Equal(p.Payload, packet) {
				t.Errorf("protocol %#x, payload % x", p.Proto, p.Payload)
			}
		})
	}
}
