//go:build linux

package conntrack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// What a rule sends elsewhere has two addresses, one for each direction.
func TestConntrackTellsOfDestinationNAT(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
		server := netip.AddrPortFrom(netip.MustParseAddr(v.Host), 8888)
		nat, err := n.NAT(v.Family, lab.Output)
		testkit.Must(t, err)
		_, err = nat.Add(lab.UDP(9999), lab.DNAT(server))
		testkit.Must(t, err)
		packets := follow(t, n, 0, nfqueue.Accept())
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.L4(unix.IPPROTO_UDP), lab.Queue(0))
		pc, err := n.ListenPacket("udp", server.String())
		testkit.Must(t, err)
		defer pc.Close()
		c, err := n.Dial("udp", v.Address())
		testkit.Must(t, err)
		defer c.Close()
		endtoend.Send(t, c, "question")
		endtoend.WantReceived(t, pc, "question")
		_, err = pc.WriteTo([]byte("answer"), c.LocalAddr())
		testkit.Must(t, err)
		got := make([]byte, 10)
		testkit.Must(t, c.SetReadDeadline(time.Now().Add(testkit.Patience)))
		if n, err := c.Read(got); err != nil || string(got[:n]) != "answer" {
			t.Errorf("read %q, %v", got[:n], err)
		}
		client, dialled := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
			p := testkit.Next(t, packets)
			wantInfo(t, p, info)
			wantTuples(t, p, ends(unix.IPPROTO_UDP, client, dialled), ends(unix.IPPROTO_UDP, server, client))
			if p.conn.SourceNAT() || !p.conn.DestinationNAT() {
				t.Errorf("packet %d: source NAT %v, destination NAT %v", p.ID, p.conn.SourceNAT(), p.conn.DestinationNAT())
			}
		}
	})
}

func TestConntrackTellsOfMasquerade(t *testing.T) {
	for _, c := range []struct {
		v      endtoend.IPVersion
		second string
	}{{endtoend.IPv4, "198.51.100.7/32"}, {endtoend.IPv6, "2001:db8:7::7/128"}} {
		t.Run(c.v.Name, func(t *testing.T) {
			a, b, addrA, addrB := endtoend.NetPair(t, c.v)
			endtoend.NeedConntrack(t, a, nfqueue.Config{Conntrack: true})
			second := netip.MustParsePrefix(c.second)
			testkit.Must(t, a.AddAddr("lo", second))
			nat, err := a.NAT(c.v.Family, lab.Postrouting)
			testkit.Must(t, err)
			_, err = nat.Add(lab.UDP(9999), lab.Masquerade())
			testkit.Must(t, err)
			packets := follow(t, a, 0, nfqueue.Accept())
			endtoend.AddRules(t, a, c.v.Family, lab.Postrouting, 200, []lab.Term{lab.UDP(9999), lab.Queue(0)})
			server := netip.AddrPortFrom(addrB, 9999)
			pc, err := b.ListenPacket("udp", server.String())
			testkit.Must(t, err)
			defer pc.Close()
			client := netip.AddrPortFrom(second.Addr(), 5555)
			from, err := a.ListenPacket("udp", client.String())
			testkit.Must(t, err)
			defer from.Close()
			_, err = from.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(server))
			testkit.Must(t, err)
			p := testkit.Next(t, packets)
			wantTuples(t, p, ends(unix.IPPROTO_UDP, client, server),
				ends(unix.IPPROTO_UDP, server, netip.AddrPortFrom(addrA, client.Port())))
			if !p.conn.SourceNAT() || p.conn.DestinationNAT() {
				t.Errorf("source NAT %v, destination NAT %v", p.conn.SourceNAT(), p.conn.DestinationNAT())
			}
		})
	}
}

// queueBehindNAT queues TCP that n sends, and has port 9998 of to stand for port
// 9999, and the helper for FTP at work.
func queueBehindNAT(t testing.TB, n *lab.Net, to netip.Addr, queue uint16) {
	t.Helper()
	helper, err := n.Helper(lab.IPv4, "ftp", unix.IPPROTO_TCP)
	if errors.Is(err, unix.ENOENT) {
		t.Skip("this kernel has no helper for FTP")
	}
	testkit.Must(t, err)
	tcp := lab.L4(unix.IPPROTO_TCP)
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, -150, []lab.Term{tcp, lab.Tracked(lab.New), helper})
	nat, err := n.NAT(lab.IPv4, lab.Output)
	testkit.Must(t, err)
	_, err = nat.Add(lab.TCP(9998), lab.DNAT(netip.AddrPortFrom(to, 9999)))
	testkit.Must(t, err)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, tcp, lab.Queue(queue))
}

// Where NAT and a helper are at work the kernel adjusts the sequence numbers of
// a connection whose data a verdict lengthens, if the verdict is about the
// connection too.
func TestKernelAdjustsSequenceNumbersBehindNAT(t *testing.T) {
	endtoend.NeedRewriting(t)
	const extra = "before all else, "
	a, b, _, addrB := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.NeedConntrack(t, a, nfqueue.Config{Conntrack: true})
	queueBehindNAT(t, a, addrB, 0)
	q := endtoend.OpenQueue(t, a, nfqueue.Config{Conntrack: true})
	var first uint32
	adjusted := make(chan attr.SeqAdj, 100)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		s := endtoend.TCPSegmentOf(p.Payload)
		if len(s.Data()) == 0 {
			return nfqueue.Accept()
		}
		if first == 0 {
			first = s.Seq()
		}
		if s.Seq() != first {
			c, _ := p.Conntrack()
			adjusted <- c.OriginalSeqAdj
			return nfqueue.Accept()
		}
		head := p.Payload[:len(p.Payload)-len(s.Data())]
		longer := append(append(bytes.Clone(head), extra...), s.Data()...)
		return nfqueue.Accept().WithPayload(longer).WithConntrackMark(1, 0xffffffff)
	})

	l, err := b.Listen("tcp", netip.AddrPortFrom(addrB, 9999).String())
	testkit.Must(t, err)
	defer l.Close()
	client, err := a.Dial("tcp", netip.AddrPortFrom(addrB, 9998).String())
	testkit.Must(t, err)
	defer client.Close()
	server, err := l.Accept()
	testkit.Must(t, err)
	defer server.Close()
	deadline := time.Now().Add(testkit.Patience)
	testkit.Must(t, client.SetDeadline(deadline))
	testkit.Must(t, server.SetDeadline(deadline))
	for _, w := range []struct {
		from, to  net.Conn
		say, hear string
	}{
		{client, server, "hello", extra + "hello"},
		{server, client, "good day", "good day"},
		{client, server, "goodbye", "goodbye"},
	} {
		endtoend.Send(t, w.from, w.say)
		got := make([]byte, len(w.hear))
		_, err := io.ReadFull(w.to, got)
		testkit.Must(t, err)
		if string(got) != w.hear {
			t.Errorf("heard %q, want %q", got, w.hear)
		}
	}
	if got := testkit.Next(t, adjusted); got.After != int32(len(extra)) || got.Before != 0 {
		t.Errorf("adjusted by %+v, want %d", got, len(extra))
	}
	testkit.Must(t, client.Close())
	if n, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d bytes, %v, want the end", n, err)
	}
}

// NAT takes place at fixed places of a hook, -100 and 100, whatever priority its
// chains name. A queue at prerouting or output sees the old destination before
// -100, and one behind that the new one.
// (The kernel refuses a chain at -200 or before, which is where tracking is.)
func TestNATTakesPlaceAtItsFixedPriority(t *testing.T) {
	n := endtoend.NewNet(t)
	to, err := n.ListenPacket("udp", "127.0.0.1:8888")
	testkit.Must(t, err)
	defer to.Close()
	for _, priority := range []int{-150, 0, 300} {
		r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
		chain, err := n.NATAt(lab.IPv4, lab.Output, priority)
		testkit.Must(t, err)
		_, err = chain.Add(lab.UDP(9999), lab.DNAT(netip.MustParseAddrPort("127.0.0.1:8888")))
		testkit.Must(t, err)
		endtoend.AddRules(t, n, lab.IPv4, lab.Output, -110, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Log(5, "before", 0, 0)})
		endtoend.AddRules(t, n, lab.IPv4, lab.Output, -90, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Log(5, "behind", 0, 0)})
		from, err := n.Dial("udp", "127.0.0.1:9999")
		testkit.Must(t, err)
		endtoend.Send(t, from, "x")
		endtoend.WantReceived(t, to, "x")
		for i, p := range endtoend.NextLogged(t, r, 2) {
			f, _ := nfnl.ParseFlow(p.Payload)
			if want := []uint16{9999, 8888}[i]; f.Dst.Port() != want {
				t.Errorf("NAT at %d: %s it the port is %d, want %d", priority, p.Prefix, f.Dst.Port(), want)
			}
		}
		testkit.Must(t, from.Close())
		testkit.Must(t, r.Close())
		testkit.Must(t, n.Flush())
	}
}
