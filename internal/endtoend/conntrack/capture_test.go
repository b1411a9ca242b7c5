//go:build linux

package conntrack

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

func TestCaptureQueue(t *testing.T) {
	endtoend.CaptureAll(t, "nfqueue", map[string]func(t *testing.T) *endtoend.Tape{
		"conntrack-dnat": queueDNAT,
		"conntrack-echo": queueEcho,
		"conntrack-sctp": queueSCTP,
		"conntrack-syn":  queueSynProxy,
		"conntrack-icmp": queueICMP,
		"conntrack-tftp": queueTFTP,
		"conntrack-ftp":  queueFTP,
	})
}

// queueDNAT captures a TCP connection that has everything.
func queueDNAT(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	trackAll(t, n)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	ftp, err := n.Helper(lab.IPv4, "ftp", unix.IPPROTO_TCP)
	testkit.Must(t, err)
	var labels attr.ConntrackLabels
	labels.Set(1)
	labels.Set(127)
	tcp := lab.L4(unix.IPPROTO_TCP)
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, -150, []lab.Term{tcp, lab.Tracked(lab.New), ftp, lab.SetCTMark(42), lab.SetCTLabels(labels)})
	nat, err := n.NAT(lab.IPv4, lab.Output)
	testkit.Must(t, err)
	_, err = nat.Add(lab.TCP(9999), lab.DNAT(netip.MustParseAddrPort("127.0.0.1:8888")))
	testkit.Must(t, err)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, tcp, lab.Queue(7))
	l, err := n.Listen("tcp", "127.0.0.1:8888")
	testkit.Must(t, err)
	defer l.Close()
	dialled := make(chan error, 1)
	go func() {
		c, err := n.Dial("tcp", endtoend.IPv4.Address())
		if err == nil {
			c.Close()
		}
		dialled <- err
	}()
	for _, state := range []attr.TCPState{attr.TCPSynSent, attr.TCPSynRecv, attr.TCPEstablished} {
		p := tp.Accept()
		c, err := p.Conntrack()
		if err != nil || c.TCP.State != state || !c.DestinationNAT() || c.Mark != 42 || c.Labels != labels || string(c.Helper) != "ftp" {
			t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
		}
	}
	testkit.Must(t, testkit.Next(t, dialled))
	return tp
}

// trackAll has n note of connections what it can.
func trackAll(t testing.TB, n *lab.Net) {
	t.Helper()
	testkit.Must(t, n.Sysctl("net/netfilter/nf_conntrack_acct", "1"))
	testkit.Must(t, n.Sysctl("net/netfilter/nf_conntrack_timestamp", "1"))
}

// queueICMP captures a datagram to a closed port, and the answer.
func queueICMP(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	trackAll(t, n)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	endtoend.AddRules(t, n, lab.IPv6, lab.Output, -300, []lab.Term{lab.SetZone(9)})
	endtoend.AddRule(t, n, lab.IPv6, lab.Output, lab.Queue(7))
	c, err := n.Dial("udp", endtoend.IPv6.Address())
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "anybody there?")
	for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoRelatedReply} {
		p := tp.Accept()
		c, err := p.Conntrack()
		if err != nil || p.ConntrackInfo != info || c.Zone != 9 {
			t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
		}
	}
	return tp
}

// queueEcho captures an echo and its answer, over both versions of IP.
func queueEcho(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	for _, e := range echoes {
		endtoend.AddRule(t, n, e.v.Family, lab.Output, lab.L4(e.protocol), lab.Tracked(^lab.Untracked), lab.Queue(7))
		e.send(t, n)
		for range 2 {
			c, err := tp.Accept().Conntrack()
			if err != nil || c.Original.ICMPType != e.request || c.Reply.ICMPType != e.reply || c.Original.ICMPID != 0x1234 {
				t.Errorf("%v: %+v", err, c)
			}
		}
	}
	return tp
}

// queueSCTP captures the first packets of SCTP, and of DCCP where the kernel
// still tracks it.
func queueSCTP(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	for protocol, packet := range map[byte]string{unix.IPPROTO_SCTP: sctpBegin, unix.IPPROTO_DCCP: dccpBegin} {
		endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.L4(protocol), lab.Tracked(^lab.Untracked), lab.Queue(7))
		raw, err := n.Dial(fmt.Sprintf("ip4:%d", protocol), endtoend.IPv4.Host)
		testkit.Must(t, err)
		defer raw.Close()
		endtoend.Send(t, raw, packet)
		wantHandshake(t, tp.Accept())
	}
	return tp
}

// queueSynProxy captures a connection whose handshake the kernel has made in the
// server's stead.
func queueSynProxy(t *testing.T) *endtoend.Tape {
	client, server, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.NeedConntrack(t, server, nfqueue.Config{Conntrack: true})
	tp := endtoend.NewTape(t, server)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	behindSynProxy(t, server, 7)
	l, err := server.Listen("tcp", netip.AddrPortFrom(addr, 9999).String())
	testkit.Must(t, err)
	defer l.Close()
	c, err := client.Dial("tcp", l.Addr().String())
	testkit.Must(t, err)
	defer c.Close()
	for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
		p := tp.Accept()
		c, err := p.Conntrack()
		if err != nil || p.ConntrackInfo != info || (c.SynProxy.ISN != 0) != (info != attr.InfoNew) {
			t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
		}
	}
	return tp
}

// queueTFTP captures a request and an answer, which is a connection that the
// kernel expected.
func queueTFTP(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	helper := tftp(t, n)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Queue(7)})
	_, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, c, "\x00\x01file\x00octet\x00") // read request
	request := tp.Accept()
	data, err := n.ListenPacket("udp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer data.Close()
	_, err = data.WriteTo([]byte("\x00\x03\x00\x01contents"), c.LocalAddr())
	testkit.Must(t, err)
	first, err := request.Conntrack()
	testkit.Must(t, err)
	answer, err := tp.Accept().Conntrack()
	if err != nil || answer.Master != first.Original {
		t.Errorf("%v: master %v, want %v", err, answer.Master, first.Original)
	}
	return tp
}

// queueFTP captures a connection whose sequence numbers the kernel adjusts, for
// a verdict has lengthened its data.
func queueFTP(t *testing.T) *endtoend.Tape {
	const extra = "more "
	a, b, _, addrB := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.NeedConntrack(t, a, nfqueue.Config{Conntrack: true})
	tp := endtoend.NewTape(t, a)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	queueBehindNAT(t, a, addrB, 7)
	l, err := b.Listen("tcp", netip.AddrPortFrom(addrB, 9999).String())
	testkit.Must(t, err)
	defer l.Close()
	dialled := make(chan net.Conn, 1)
	go func() {
		defer close(dialled)
		if c, err := a.Dial("tcp", netip.AddrPortFrom(addrB, 9998).String()); err == nil {
			dialled <- c
		}
	}()
	for range 2 { // SYN and ACK
		tp.Accept()
	}
	c := testkit.Next(t, dialled)
	defer c.Close()
	endtoend.Send(t, c, "hello")
	p := tp.Queued()
	head := p.Payload[:len(p.Payload)-len("hello")]
	tp.Answer(p, nfqueue.Accept().WithPayload([]byte(string(head)+extra+"hello")).WithConntrackMark(1, 0xffffffff))
	endtoend.Send(t, c, "goodbye")
	conn, err := tp.Accept().Conntrack()
	if err != nil || conn.OriginalSeqAdj.After != int32(len(extra)) {
		t.Errorf("%v: adjusted by %+v", err, conn.OriginalSeqAdj)
	}
	return tp
}

func TestCaptureLog(t *testing.T) {
	endtoend.CaptureAll(t, "nflog", map[string]func(t *testing.T) *endtoend.Tape{"conntrack": logConntrack})
}

// logConntrack captures a question and its answer.
func logConntrack(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	trackAll(t, n)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nflog.Config{Threshold: 1, Conntrack: true}.Bind(5))
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.Tracked(^lab.Untracked), lab.SetCTMark(42), lab.Log(5, "", 0, 0))
	pc, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, c, "question")
	endtoend.WantReceived(t, pc, "question")
	_, err := pc.WriteTo([]byte("answer"), c.LocalAddr().(*net.UDPAddr))
	testkit.Must(t, err)
	for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
		for _, p := range tp.Logged() {
			c, err := p.Conntrack()
			if err != nil || p.ConntrackInfo != info || c.Mark != 42 {
				t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
			}
		}
	}
	return tp
}
