//go:build linux

package queue

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A class ID is that of the control group in which the sender's socket is. It
// comes without being asked for.
func TestPacketTellsItsClass(t *testing.T) {
	const class = 0x00100001
	n := endtoend.NewNet(t)
	want := uint32(class)
	c, err := dialInClass(n, class)
	if errors.Is(err, errors.ErrUnsupported) {
		want = 0
		c, err = n.Dial("udp", endtoend.IPv4.Address())
	}
	testkit.Must(t, err)
	defer c.Close()
	p := catch(t, n, endtoend.IPv4, lab.Output, nfqueue.Config{}, func() { endtoend.Send(t, c, "x") })
	if !diagnose.KernelAtLeast(6, 4) {
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
		c, err = n.Dial("udp", endtoend.IPv4.Address())
		return err
	})
	return c, err
}

// The kernel tells when a packet arrived, if somebody has it take the time, and
// of sent ones seldom.
func TestPacketTellsWhenItArrived(t *testing.T) {
	a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.TakeReceiptTimes(t, b)
	q := endtoend.OpenQueue(t, b, nfqueue.Config{})
	endtoend.AddRule(t, b, lab.IPv4, lab.Prerouting, lab.UDP(9999), lab.Queue(0))
	times := make(chan time.Time, 1000)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		times <- p.Time
		return nfqueue.Accept()
	})
	before := time.Now().Truncate(time.Microsecond)
	var got time.Time
	testkit.Await(t, "the kernel to take times", func() bool {
		endtoend.SendRaw(t, a, addrB, endtoend.UDPPacket(t, addrA, addrB, "hello"))
		got = testkit.Next(t, times)
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
	a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv4)
	address := netip.AddrPortFrom(addrB, 9999).String()
	pc, err := b.ListenPacket("udp", address) // or the sender would be told that nobody does
	testkit.Must(t, err)
	defer pc.Close()
	c, err := a.Dial("udp", address)
	testkit.Must(t, err)
	defer c.Close()
	local := func() { endtoend.Send(t, c, "hello") }
	foreign := func() { endtoend.SendRaw(t, a, addrB, endtoend.UDPPacket(t, addrA, addrB, "hello")) }
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
			p := catch(t, test.at, endtoend.IPv4, test.hook, test.cfg, test.send)
			if got := (state{p.ChecksumPending, p.ChecksumUnverified, p.GSO}); got != test.want || p.Len != test.len {
				t.Errorf("%+v, Len %d, want %+v, %d", got, p.Len, test.want, test.len)
			}
			if cut := test.cfg.CopyRange != 0; p.Truncated() != cut {
				t.Errorf("truncated %v, want %v", p.Truncated(), cut)
			}
			testkit.Must(t, test.at.Flush())
		})
	}
}

// A packet that a connection will get has that one's owner at the hook input,
// unless it came by the loopback device.
func TestReceivedPacketTellsItsOwner(t *testing.T) {
	a, n, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Owner: true})
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	client, server := endtoend.TCPPair(t, a, n, netip.AddrPortFrom(addr, 9999).String())
	endtoend.AddRule(t, n, lab.IPv4, lab.Input, lab.TCP(9999), lab.Log(5, "", 0, 0), lab.Queue(0))
	t.Cleanup(func() { testkit.Must(t, n.Flush()) })
	queued := make(chan *nfqueue.Packet, 100)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		queued <- p.Clone()
		return nfqueue.Accept()
	})
	_, err := client.Write([]byte("hello"))
	testkit.Must(t, err)
	_, err = io.ReadFull(server, make([]byte, 5))
	testkit.Must(t, err)
	if p := testkit.Next(t, queued); !p.HasOwner || p.UID != outside(t, "uid", os.Getuid()) || p.GID != outside(t, "gid", os.Getgid()) {
		t.Errorf("queued with owner %v, UID %d, GID %d", p.HasOwner, p.UID, p.GID)
	}
	if p := endtoend.NextLogged(t, r, 1)[0]; !p.HasOwner || int(p.UID) != os.Getuid() || int(p.GID) != os.Getgid() {
		t.Errorf("logged with owner %v, UID %d, GID %d", p.HasOwner, p.UID, p.GID)
	}
}
