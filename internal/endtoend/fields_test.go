//go:build linux

package endtoend

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A class ID is that of the control group in which the sender's socket is. It
// comes without being asked for.
func TestPacketTellsItsClass(t *testing.T) {
	const class = 0x00100001
	n := newNet(t)
	want := uint32(class)
	c, err := dialInClass(n, class)
	if errors.Is(err, errors.ErrUnsupported) {
		want = 0
		c, err = n.Dial("udp", ipv4.address())
	}
	must(t, err)
	defer c.Close()
	p := catch(t, n, ipv4, lab.Output, nfqueue.Config{}, func() { send(t, c, "x") })
	if !kernelSince(6, 4) {
		want = 0
	}
	if p.ClassID != want || p.HasOwner {
		t.Fatalf("class %#x, want %#x; owner %v", p.ClassID, want, p.HasOwner)
	}
	if want == 0 {
		t.Skip("this kernel has no classes in packets, or no control groups that have them")
	}
}

// dialInClass returns a connection whose socket is in a control group of the
// class.
func dialInClass(n *lab.Net, class uint32) (c net.Conn, err error) {
	err = lab.InClass(class, func() (err error) {
		c, err = n.Dial("udp", ipv4.address())
		return err
	})
	return c, err
}

// The kernel tells when a packet arrived, if somebody has it take the time, and
// of sent ones seldom.
func TestPacketTellsWhenItArrived(t *testing.T) {
	a, b, addrA, addrB := wire(t, ipv4)
	takeTime(t, b)
	q := openQueue(t, b, nfqueue.Config{})
	addRule(t, b, lab.IPv4, lab.Prerouting, lab.UDP(9999), lab.Queue(0))
	times := make(chan time.Time, 1000)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		times <- p.Time
		return nfqueue.Accept()
	})
	before := time.Now().Truncate(time.Microsecond)
	var got time.Time
	await(t, "the kernel to take times", func() bool {
		inject(t, a, addrB, udpPacket(t, addrA, addrB, "hello"))
		got = next(t, times)
		return !got.IsZero()
	})
	if got.Before(before) || got.After(time.Now()) {
		t.Errorf("arrived at %v, sent after %v", got, before)
	}
}

// A packet tells what is left to do for its checksum: the sender's device would
// compute it, or nobody has checked it. Nothing is left where the kernel has
// just computed it, which is for Segment.
func TestPacketTellsAboutItsChecksum(t *testing.T) {
	a, b, addrA, addrB := wire(t, ipv4)
	address := netip.AddrPortFrom(addrB, 9999).String()
	pc, err := b.ListenPacket("udp", address) // or the sender would be told that nobody does
	must(t, err)
	defer pc.Close()
	c, err := a.Dial("udp", address)
	must(t, err)
	defer c.Close()
	local := func() { send(t, c, "hello") }
	foreign := func() { inject(t, a, addrB, udpPacket(t, addrA, addrB, "hello")) }
	type state struct{ pending, unverified, gso bool }
	for _, test := range []struct {
		name string
		at   *lab.Net
		hook lab.Hook
		cfg  nfqueue.Config
		send func()
		want state
		len  int
	}{
		{"sent here", a, lab.Output, nfqueue.Config{}, local, state{pending: true}, 33},
		{"with Segment", a, lab.Output, nfqueue.Config{Segment: true}, local, state{}, 33},
		{"with Segment and MetadataOnly", a, lab.Output, nfqueue.Config{Segment: true, MetadataOnly: true}, local, state{pending: true}, 0},
		{"come from next door", b, lab.Prerouting, nfqueue.Config{}, local, state{pending: true}, 33},
		{"come as from a wire", b, lab.Prerouting, nfqueue.Config{}, foreign, state{unverified: true}, 33},
		{"cut", b, lab.Input, nfqueue.Config{CopyRange: 20}, foreign, state{unverified: true}, 33},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := catch(t, test.at, ipv4, test.hook, test.cfg, test.send)
			if got := (state{p.ChecksumPending, p.ChecksumUnverified, p.GSO}); got != test.want || p.Len != test.len {
				t.Errorf("%+v, Len %d, want %+v, %d", got, p.Len, test.want, test.len)
			}
			if cut := test.cfg.CopyRange != 0; p.Truncated() != cut {
				t.Errorf("truncated %v, want %v", p.Truncated(), cut)
			}
			must(t, test.at.Flush())
		})
	}
}

// The loopback device has link headers, of a type of its own.
func TestLogTellsOfTheLoopbackDevice(t *testing.T) {
	const arphrdLoopback = 772
	l := newLogLane(t, ipv4, lab.Input, nflog.Config{Threshold: 1})
	lo, err := l.net.Index("lo")
	must(t, err)
	send(t, l.from, "hello")
	p := logged(t, l.reader, 1)[0]
	if p.InDev != lo || p.HardwareType != arphrdLoopback || p.HardwareLen != 14 || len(p.HardwareHeader) != 14 {
		t.Errorf("in %d, type %d, header %x of %d bytes", p.InDev, p.HardwareType, p.HardwareHeader, p.HardwareLen)
	}
	if !bytes.Equal(p.HardwareAddr, make([]byte, 6)) || p.LinkHeader != nil || p.PhysInDev != 0 || p.PhysOutDev != 0 {
		t.Errorf("address %v, link header %x, ports %d and %d", p.HardwareAddr, p.LinkHeader, p.PhysInDev, p.PhysOutDev)
	}
}

// A packet that a connection will get has that one's owner at the hook input,
// unless it came by the loopback device.
func TestReceivedPacketTellsItsOwner(t *testing.T) {
	a, n, _, addr := wire(t, ipv4)
	q := openQueue(t, n, nfqueue.Config{Owner: true})
	r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	client, server := tcpPair(t, a, n, netip.AddrPortFrom(addr, 9999).String())
	addRule(t, n, lab.IPv4, lab.Input, lab.TCP(9999), lab.Log(5, "", 0, 0), lab.Queue(0))
	t.Cleanup(func() { must(t, n.Flush()) })
	queued := make(chan *nfqueue.Packet, 100)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		queued <- p.Clone()
		return nfqueue.Accept()
	})
	_, err := client.Write([]byte("hello"))
	must(t, err)
	_, err = io.ReadFull(server, make([]byte, 5))
	must(t, err)
	if p := next(t, queued); !p.HasOwner || p.UID != outside(t, "uid", os.Getuid()) || p.GID != outside(t, "gid", os.Getgid()) {
		t.Errorf("queued with owner %v, UID %d, GID %d", p.HasOwner, p.UID, p.GID)
	}
	if p := logged(t, r, 1)[0]; !p.HasOwner || int(p.UID) != os.Getuid() || int(p.GID) != os.Getgid() {
		t.Errorf("logged with owner %v, UID %d, GID %d", p.HasOwner, p.UID, p.GID)
	}
}
