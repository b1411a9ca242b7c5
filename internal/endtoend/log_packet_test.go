//go:build linux

package endtoend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// dialAs returns a connection whose socket belongs to a user and a group; where
// the user namespace has none but root, to root. It returns their numbers.
func dialAs(t testing.TB, n *lab.Net, address string) (c net.Conn, uid, gid int) {
	t.Helper()
	must(t, n.Do(func() (err error) {
		for _, set := range []func(int) error{unix.Setfsgid, unix.Setfsuid} {
			must(t, set(1234))
			defer set(0)
		}
		if uid, err = unix.SetfsuidRetUid(-1); err != nil {
			return err
		}
		if gid, err = unix.SetfsgidRetGid(-1); err != nil {
			return err
		}
		c, err = net.Dial("udp", address)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c, uid, gid
}

func TestLogTellsOfASentPacket(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		r := openLog(t, n, nflog.Config{Groups: []uint16{5}})
		addRule(t, n, v.family, lab.Output, lab.UDP(9999), lab.SetMark(0xbeef), lab.Log(5, "sent: ", 0, 0))
		lo, err := n.Index("lo")
		must(t, err)
		c, uid, gid := dialAs(t, n, v.address())
		before := time.Now()
		send(t, c, "hello")
		p := logged(t, r, 1)[0]
		if p.Group != 5 || p.Family != v.packets || p.Hook != nfnl.Output || string(p.Prefix) != "sent: " ||
			p.Mark != 0xbeef || p.InDev != 0 || p.OutDev != lo || p.Seq != 0 || p.GlobalSeq != 0 {
			t.Errorf("logged %+v", p)
		}
		if !p.HasOwner || int(p.UID) != uid || int(p.GID) != gid {
			t.Errorf("owner %v, UID %d, GID %d, want %d and %d", p.HasOwner, p.UID, p.GID, uid, gid)
		}
		if got := v.bodies([]*nflog.Packet{p})[0]; got != "hello" {
			t.Errorf("payload %q", got)
		}
		if !p.ReceiptTime || p.Time.Before(before.Round(0)) || p.Time.After(time.Now()) {
			t.Errorf("time %v, of receipt %v", p.Time, p.ReceiptTime)
		}
	})
}

func TestLogTellsOfAReceivedPacket(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		a, b, _, addr := wire(t, v)
		r := openLog(t, b, nflog.Config{Groups: []uint16{5}})
		addRule(t, b, v.family, lab.Prerouting, lab.UDP(9999), lab.Log(5, "", 0, 0))
		eth0, err := b.Index("eth0")
		must(t, err)
		c, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
		must(t, err)
		defer c.Close()
		takeTimes(t, b)
		before := time.Now().Truncate(time.Microsecond)
		var p *nflog.Packet
		await(t, "the kernel to take times", func() bool {
			send(t, c, "hello")
			p = logged(t, r, 1)[0]
			return !p.ReceiptTime
		})
		if p.Family != v.packets || p.Hook != nfnl.Prerouting || len(p.Prefix) != 0 || p.InDev != eth0 ||
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
	must(t, n.Do(func() error {
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
	n := newNet(t)
	r := openLog(t, n, nflog.Config{Groups: []uint16{5, 0, 65535}, GlobalSequence: true})
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "a", 0, 0), lab.Log(65535, "b", 0, 0), lab.Log(0, "c", 0, 0))
	_, from := udpPair(t, n, "udp", ipv4.address())
	for i := range sent {
		send(t, from, fmt.Sprint(i))
	}
	order := map[uint16]uint32{5: 0, 65535: 1, 0: 2} // in which the rule logs
	next := map[uint16]uint32{}
	for _, p := range logged(t, r, 3*sent) {
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
		n := newNet(t)
		c.cfg.Groups = []uint16{5}
		r := openLog(t, n, c.cfg)
		addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", c.snaplen, 0))
		_, from := udpPair(t, n, "udp", ipv4.address())
		send(t, from, body)
		p := logged(t, r, 1)[0]
		if len(p.Payload) != c.want || p.Proto != 0x0800 {
			t.Errorf("CopyRange %d, MetadataOnly %v, snaplen %d: %d bytes, want %d",
				c.cfg.CopyRange, c.cfg.MetadataOnly, c.snaplen, len(p.Payload), c.want)
		}
	}
}

// sendFrame sends an Ethernet frame out of a device of n.
func sendFrame(t testing.TB, n *lab.Net, device string, frame []byte) {
	t.Helper()
	index, err := n.Index(device)
	must(t, err)
	must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index})
	}))
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
			a, b, addrA, addrB := wire(t, ipv4)
			r := openLog(t, b, nflog.Config{Groups: []uint16{5}})
			chain, err := b.DeviceChain("eth0", lab.Ingress, 0)
			must(t, err)
			_, err = chain.Add(lab.Log(5, "frame", 0, 0))
			must(t, err)
			eth0, err := b.Index("eth0")
			must(t, err)

			src := net.HardwareAddr{2, 0, 0, 0, 0, 1}
			addresses := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, src...)
			packet := udpPacket(t, addrA, addrB, "hello")
			header := append(bytes.Clone(addresses), 0x08, 0x00)
			frame := bytes.Join([][]byte{addresses, c.tag, {0x08, 0x00}, packet}, nil)
			sendFrame(t, a, "eth0", frame)

			p := logged(t, r, 1)[0]
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
