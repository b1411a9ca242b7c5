//go:build linux

package rewrite

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// The tests of this file show what docs/rewriting.md says cannot be refused, and
// what to do about it.

// A rewrite above the MTU of its way is lost where the packet must not be
// fragmented; that may be part of the rewrite.
func TestRewriteAboveTheMTUArrivesIfItMayBeFragmented(t *testing.T) {
	endtoend.NeedRewriting(t)
	r := endtoend.NewRouted(t)
	q := endtoend.OpenQueue(t, r.Router, nfqueue.Config{})
	endtoend.AddRule(t, r.Router, lab.IPv4, lab.Forward, lab.UDP(9999), lab.Queue(0))
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		b := append(bytes.Clone(p.Payload), bytes.Repeat([]byte{'x'}, 1000)...)
		if p.Payload[28] == 'f' {
			b[6] &^= 0x40 // IP_DF
		}
		return nfqueue.Accept().WithPayload(b)
	})
	pc, err := r.B.ListenPacket("udp", r.Address(endtoend.IPv4))
	testkit.Must(t, err)
	defer pc.Close()
	for _, first := range []string{"d", "f"} { // with a socket each: the first gets an ICMP error
		c, err := r.A.Dial("udp", r.Address(endtoend.IPv4))
		testkit.Must(t, err)
		defer c.Close()
		endtoend.Send(t, c, first+endtoend.Letters(999))
	}
	endtoend.WantReceived(t, pc, "f"+endtoend.Letters(999)+strings.Repeat("x", 1000))
	if s := q.Stats(); s.Packets != 2 || s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
}

// redirecting returns a handler that sends datagrams for port 9999 to 9998, and
// has what comes back from there seem to come from 9999 if back is set.
func redirecting(back bool) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		f, _ := nfnl.ParseFlow(p.Payload)
		udp := p.Payload[f.TransportOffset:]
		switch {
		case f.Dst.Port() == 9999:
			udp[3]-- // 9998
		case back && f.Src.Port() == 9998:
			udp[1]++
		default:
			return nfqueue.Accept()
		}
		return nfqueue.Accept().WithPayload(p.Payload)
	}
}

// Connection tracking does not know of a new destination: what comes back belongs
// to no connection, and a firewall drops it. It has to see the new destination on
// both ways: in front of it there, and behind it back.
func TestNewDestinationOfATrackedConnectionGetsNoAnswer(t *testing.T) {
	endtoend.NeedRewriting(t)
	for _, c := range []struct {
		name     string
		priority int
		answered bool
	}{
		{"behind connection tracking", 0, false},
		{"in front of it there, behind it back", -300, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := endtoend.NewRouted(t)
			unknown := endtoend.AddRule(t, r.A, lab.IPv4, lab.Input, lab.Tracked(lab.New), lab.Drop())
			q := endtoend.OpenQueue(t, r.A, nfqueue.Config{})
			udp := []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Queue(0)}
			endtoend.AddRules(t, r.A, lab.IPv4, lab.Output, c.priority, udp)
			endtoend.AddRules(t, r.A, lab.IPv4, lab.Input, 10, udp)
			endtoend.RunQueue(t, q, redirecting(c.answered))
			answer(t, r.B, roadB+":9998")
			from, err := r.A.Dial("udp", r.Address(endtoend.IPv4))
			testkit.Must(t, err)
			defer from.Close()
			testkit.Must(t, from.SetDeadline(time.Now().Add(testkit.Patience)))
			endtoend.Send(t, from, "redirected")
			if c.answered {
				wantBytes(t, from, "redirected")
				endtoend.WantPackets(t, unknown, 0)
				return
			}
			testkit.Await(t, "for the answer to be dropped", func() bool {
				n, err := unknown.Packets()
				testkit.Must(t, err)
				return n == 1
			})
		})
	}
}

// answer sends datagrams back to where they come from, until the test ends.
func answer(t *testing.T, n *lab.Net, address string) {
	t.Helper()
	pc, err := n.ListenPacket("udp", address)
	testkit.Must(t, err)
	done := make(chan struct{})
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			pc.WriteTo(b[:n], from) // a test that waits for it says what is missing
		}
	}()
}

// What gets an address to which there is no route is dropped, and no counter of the
// queue has it.
func TestRewriteToAnAddressWithoutARouteIsLost(t *testing.T) {
	endtoend.NeedRewriting(t)
	r := endtoend.NewRouted(t)
	q := endtoend.OpenQueue(t, r.A, nfqueue.Config{})
	endtoend.AddRule(t, r.A, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Payload[28] == 'a' {
			return nfqueue.Accept()
		}
		copy(p.Payload[16:], []byte{203, 0, 113, 1})
		return nfqueue.Accept().WithPayload(p.Payload)
	})
	pc, c := endtoend.UDPAcross(t, r.A, r.B, r.Address(endtoend.IPv4))
	endtoend.Send(t, c, "to nowhere", "as it is")
	endtoend.WantReceived(t, pc, "as it is")
	if s := q.Stats(); s.Packets != 2 || s.Refused+s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A mark at output makes the kernel route again; without a route for it the packet
// is dropped, and no counter of the queue has it.
func TestMarkWithoutARouteLosesThePacket(t *testing.T) {
	const routed, unrouted = 1, 2
	far := netip.MustParseAddr("203.0.113.1")
	a, b, _, _ := endtoend.NetPair(t, endtoend.IPv4)
	testkit.Must(t, b.AddAddr("eth0", netip.PrefixFrom(far, 32)))
	testkit.Must(t, a.RouteMarked(routed, netip.PrefixFrom(far, 32), "eth0"))
	q := endtoend.OpenQueue(t, a, nfqueue.Config{})
	endtoend.AddRule(t, a, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Payload[28] == 't' {
			return nfqueue.Accept().WithMark(unrouted)
		}
		return nfqueue.Accept()
	})
	address := netip.AddrPortFrom(far, 9999).String()
	pc, err := b.ListenPacket("udp", address)
	testkit.Must(t, err)
	defer pc.Close()
	c, err := endtoend.DialMarked(a, address, routed)
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "to nowhere", "as it is")
	endtoend.WantReceived(t, pc, "as it is")
	if s := q.Stats(); s.Packets != 2 || s.Refused+s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Masquerading replaces a new source that a packet gets in front of it, and leaves
// one that it gets behind it.
func TestNewSourceInFrontOfMasqueradingIsUndone(t *testing.T) {
	endtoend.NeedRewriting(t)
	given := netip.MustParseAddr("203.0.113.9")
	for _, c := range []struct {
		name     string
		priority int
		want     string
	}{
		{"in front", 0, "198.51.100.254"}, // the router's
		{"behind", 200, given.String()},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := endtoend.NewRouted(t)
			natRoad(t, r)
			q := endtoend.OpenQueue(t, r.Router, nfqueue.Config{})
			endtoend.AddRules(t, r.Router, lab.IPv4, lab.Postrouting, c.priority, []lab.Term{lab.UDP(9999), lab.Queue(0)})
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				copy(p.Payload[12:16], given.AsSlice())
				return nfqueue.Accept().WithPayload(append(p.Payload, '!'))
			})
			// The receiver has a route back to what it is to hear from.
			testkit.Must(t, r.B.AddRoute(netip.PrefixFrom(given, 32), netip.MustParseAddr("198.51.100.254")))
			pc, from := endtoend.UDPAcross(t, r.A, r.B, r.Address(endtoend.IPv4))
			endtoend.Send(t, from, "hello")
			b := make([]byte, 100)
			testkit.Must(t, pc.SetReadDeadline(time.Now().Add(testkit.Patience)))
			n, source, err := pc.ReadFrom(b)
			testkit.Must(t, err)
			if got := source.(*net.UDPAddr).IP.String(); got != c.want || string(b[:n]) != "hello!" {
				t.Errorf("%q came from %s, want from %s", b[:n], got, c.want)
			}
		})
	}
}

// Without Config.Conntrack nobody knows of the NAT to come, and every datagram of a
// UDP GSO packet that is rewritten in front of it has a wrong checksum. With Segment
// they arrive.
func TestUDPGSOInFrontOfUnknownNATIsLost(t *testing.T) {
	endtoend.NeedRewriting(t)
	if !diagnose.KernelAtLeast(6, 12) {
		t.Log("this kernel cuts no UDP that was rewritten, which is refused")
		return
	}
	for _, segment := range []bool{false, true} {
		r := endtoend.NewRouted(t)
		natRoad(t, r)
		q := endtoend.OpenQueue(t, r.Router, nfqueue.Config{Segment: segment})
		endtoend.AddRule(t, r.Router, lab.IPv4, lab.Forward, lab.UDP(9999), lab.Queue(0))
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			if len(p.Payload) < endtoend.GSOSize {
				return nfqueue.Accept()
			}
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		pc, c := endtoend.UDPGSOPair(t, r, endtoend.IPv4)
		endtoend.Send(t, c, "first", long[:2*endtoend.GSOSize], "last")
		want := []string{"first", "last"}
		if segment {
			want = []string{"first", long[:endtoend.GSOSize], long[endtoend.GSOSize : 2*endtoend.GSOSize], "last"}
		}
		endtoend.WantReceived(t, pc, want...)
		if s := q.Stats(); s.Refused != 0 {
			t.Errorf("Segment %v: stats %+v", segment, s)
		}
		if n := checksumErrors(t, r.B, endtoend.IPv4); (n == 0) != segment {
			t.Errorf("Segment %v: %d wrong checksums", segment, n)
		}
	}
}

// Flow offload takes all but the first packets of a connection past the queue.
func TestFlowOffloadTakesAConnectionPastTheQueue(t *testing.T) {
	r := endtoend.NewRouted(t)
	endtoend.SkipUnsupported(t, r.Router.Flowtable(lab.IPv4, "fast", "to-a", "to-b"))
	endtoend.AddRule(t, r.Router, lab.IPv4, lab.Forward, lab.L4(unix.IPPROTO_TCP), lab.FlowOffload("fast"))
	q := endtoend.OpenQueue(t, r.Router, nfqueue.Config{})
	endtoend.AddRule(t, r.Router, lab.IPv4, lab.Postrouting, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
	endtoend.RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
	client, server := endtoend.TCPPair(t, r.A, r.B, r.Address(endtoend.IPv4))
	endtoend.WantStream(t, client, server, endtoend.RandomBytes(2<<20), 0)
	if n := q.Stats().Packets; n < 2 || n > 30 {
		t.Errorf("%d packets of 2 MiB were queued, want a few", n)
	}
}
