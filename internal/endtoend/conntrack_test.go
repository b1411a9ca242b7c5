//go:build linux

package endtoend

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// lacksGlue reports whether the kernel lists its functions, and those that put
// connections into messages are not among them.
var lacksGlue = sync.OnceValue(func() bool {
	symbols, err := os.ReadFile("/proc/kallsyms")
	return err == nil && len(symbols) > 0 && !bytes.Contains(symbols, []byte("ctnetlink_glue_build"))
})

// kernelSince reports whether the kernel is of that version or a later one.
func kernelSince(major, minor int) bool {
	var u unix.Utsname
	var gotMajor, gotMinor int
	_ = unix.Uname(&u) // cannot fail
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &gotMajor, &gotMinor)
	return err != nil || gotMajor > major || gotMajor == major && gotMinor >= minor
}

// needConntrack skips the test, having checked the refusal, on a kernel that can
// neither tell of connections nor change them.
func needConntrack(t testing.TB, n *lab.Net, cfg nfqueue.Config) {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	q, err := nfqueue.Open(cfg)
	if err == nil {
		must(t, q.Close())
		return
	}
	if !lacksGlue() || !errors.Is(err, syscall.EOPNOTSUPP) || !strings.Contains(err.Error(), "Config.BestEffort") {
		t.Fatalf("Open: %v; the kernel lacks conntrack in messages: %v", err, lacksGlue())
	}
	cfg.BestEffort = true
	q = openQueue(t, n, cfg)
	defer q.Close()
	if g := q.Granted(); g.Conntrack || g.ConntrackVerdicts {
		t.Errorf("granted Conntrack %v, ConntrackVerdicts %v, which the kernel refused", g.Conntrack, g.ConntrackVerdicts)
	}
	t.Skip("this kernel puts no connections into messages, and says so")
}

// addRules adds a chain at a hook, with rules that packets meet in this order.
func addRules(t testing.TB, n *lab.Net, f lab.Family, h lab.Hook, priority int, rules ...[]lab.Term) {
	t.Helper()
	c, err := n.Chain(f, h, priority)
	must(t, err)
	for _, terms := range rules {
		_, err := c.Add(terms...)
		must(t, err)
	}
}

// A tracked packet is one with what the kernel said of its connection.
type tracked struct {
	*nfqueue.Packet
	conn attr.Conntrack
}

// follow opens a queue with Conntrack and returns the packets that it gets, all
// accepted with v.
func follow(t testing.TB, n *lab.Net, number uint16, v nfqueue.Verdict) <-chan tracked {
	t.Helper()
	q := openQueue(t, n, nfqueue.Config{Queue: number, Conntrack: true})
	packets := make(chan tracked, 100)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		p = p.Clone()
		c, err := p.Conntrack()
		if err != nil {
			t.Errorf("packet %d, %v: %v", p.ID, p.ConntrackInfo, err)
		}
		packets <- tracked{p, c}
		return v
	})
	return packets
}

// ends returns the tuple of packets from one end to the other.
func ends(protocol uint8, src, dst netip.AddrPort) attr.Tuple {
	return attr.Tuple{Protocol: protocol, Src: src, Dst: dst}
}

// addrPort returns the address of a socket.
func addrPort(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// wantInfo checks what a packet is in its connection.
func wantInfo(t testing.TB, p tracked, want attr.ConntrackInfo) {
	t.Helper()
	if p.ConntrackInfo != want {
		t.Errorf("packet %d is %v, want %v", p.ID, p.ConntrackInfo, want)
	}
}

// wantTuples checks both directions.
func wantTuples(t testing.TB, p tracked, original, reply attr.Tuple) {
	t.Helper()
	if p.conn.Original != original || p.conn.Reply != reply {
		t.Errorf("packet %d: %v, reply %v; want %v, reply %v", p.ID, p.conn.Original, p.conn.Reply, original, reply)
	}
}

// wantStatus checks the bits of the status that mask has.
func wantStatus(t testing.TB, p tracked, want, mask attr.ConntrackStatus) {
	t.Helper()
	if got := p.conn.Status & mask; got != want {
		t.Errorf("packet %d: status %v, of which %v should be %v", p.ID, p.conn.Status, got, want)
	}
}

// progress are the bits of a status that say how far a connection has come.
const progress = attr.StatusSeenReply | attr.StatusAssured | attr.StatusConfirmed

// A dialogue over UDP: each packet knows its place, and the connection all that
// rules and sysctls have given it.
func TestConntrackTellsOfADatagram(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		needConntrack(t, n, nfqueue.Config{Conntrack: true})
		for key, value := range map[string]string{"acct": "1", "timestamp": "1", "udp_timeout": "77"} {
			must(t, n.Sysctl("net/netfilter/nf_conntrack_"+key, value))
		}
		var labels attr.ConntrackLabels
		labels.Set(1)
		labels.Set(127)
		packets := follow(t, n, 7, nfqueue.Accept())
		udp := lab.L4(unix.IPPROTO_UDP)
		addRules(t, n, v.family, lab.Output, 0,
			[]lab.Term{udp, lab.Tracked(lab.New), lab.SetCTMark(0xfeed), lab.SetCTLabels(labels)},
			[]lab.Term{udp, lab.Queue(7)})
		pc, c := udpPair(t, n, "udp", v.address())
		before := time.Now()
		send(t, c, "question")
		wantReceived(t, pc, "question")
		_, err := pc.WriteTo([]byte("answer"), c.LocalAddr())
		must(t, err)
		send(t, c, "thanks")

		client, server := addrPort(c.LocalAddr()), addrPort(pc.LocalAddr())
		full := kernelSince(5, 13) // before, packets came without counters and times
		sizes := []uint64{8, 6, 6}
		var want struct{ original, reply attr.Counters }
		for i, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply, attr.InfoEstablished} {
			p := next(t, packets)
			counters := &want.original
			if info == attr.InfoEstablishedReply {
				counters = &want.reply
			}
			if full {
				counters.Packets++
				counters.Bytes += uint64(v.headers) + sizes[i]
			}
			wantInfo(t, p, info)
			wantTuples(t, p, ends(unix.IPPROTO_UDP, client, server), ends(unix.IPPROTO_UDP, server, client))
			if p.conn.Counted != full || p.conn.OriginalCounters != want.original || p.conn.ReplyCounters != want.reply {
				t.Errorf("packet %d: counters %v, %+v and %+v, want %+v", p.ID, p.conn.Counted, p.conn.OriginalCounters, p.conn.ReplyCounters, want)
			}
			if p.conn.Mark != 0xfeed || !p.conn.HasMark || p.conn.Labels != labels || !p.conn.HasLabels {
				t.Errorf("packet %d: mark %#x, %v, labels %x", p.ID, p.conn.Mark, p.conn.HasMark, p.conn.Labels)
			}
			if p.conn.Zone != 0 || p.conn.TCP.State != attr.TCPNone || p.conn.Helper != nil || p.conn.SourceNAT() || p.conn.DestinationNAT() {
				t.Errorf("packet %d: %+v", p.ID, p.conn)
			}
			if info == attr.InfoNew {
				wantStatus(t, p, 0, progress)
				if !p.conn.Start.IsZero() {
					t.Errorf("packet %d: began at %v, before its first packet left", p.ID, p.conn.Start)
				}
				continue
			}
			wantStatus(t, p, attr.StatusConfirmed|attr.StatusSeenReply, attr.StatusConfirmed|attr.StatusSeenReply)
			if s := p.conn.Start; full && s.Before(before.Round(0)) || s.After(time.Now()) || !p.conn.Stop.IsZero() {
				t.Errorf("packet %d: from %v to %v", p.ID, s, p.conn.Stop)
			}
			if info == attr.InfoEstablishedReply && (p.conn.Timeout > 77*time.Second || p.conn.Timeout < 50*time.Second) {
				t.Errorf("packet %d: timeout %v, want 77 s or a little less", p.ID, p.conn.Timeout)
			}
		}
	})
}

func TestConntrackTellsHowFarTCPIs(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		needConntrack(t, n, nfqueue.Config{Conntrack: true})
		packets := follow(t, n, 0, nfqueue.Accept())
		addRule(t, n, v.family, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Tracked(^lab.Untracked), lab.Queue(0))
		c, s := tcpPair(t, n, n, v.address())
		client, server := addrPort(c.LocalAddr()), addrPort(s.LocalAddr())
		id := uint32(0)
		for _, want := range []struct {
			info   attr.ConntrackInfo
			state  attr.TCPState
			status attr.ConntrackStatus
		}{
			{attr.InfoNew, attr.TCPSynSent, 0},
			{attr.InfoEstablishedReply, attr.TCPSynRecv, attr.StatusConfirmed | attr.StatusSeenReply},
			{attr.InfoEstablished, attr.TCPEstablished, progress},
		} {
			p := next(t, packets)
			wantInfo(t, p, want.info)
			wantStatus(t, p, want.status, progress)
			wantTuples(t, p, ends(unix.IPPROTO_TCP, client, server), ends(unix.IPPROTO_TCP, server, client))
			if p.conn.TCP.State != want.state || p.conn.Counted || !p.conn.Start.IsZero() {
				t.Errorf("packet %d: %v, want %v and nothing counted: %+v", p.ID, p.conn.TCP.State, want.state, p.conn)
			}
			if id == 0 {
				id = p.conn.ID
			}
			if p.conn.ID != id || id == 0 {
				t.Errorf("packet %d: connection %#x, before %#x", p.ID, p.conn.ID, id)
			}
		}
		must(t, c.Close())
		if p := next(t, packets); p.conn.TCP.State != attr.TCPFinWait {
			t.Errorf("packet %d: %v, want FIN_WAIT", p.ID, p.conn.TCP.State)
		}
	})
}

// An echo is a ping over one version of IP.
type echo struct {
	v                        ipVersion
	network                  string
	protocol, request, reply byte
}

var echoes = []echo{
	{ipv4, "ip4:icmp", unix.IPPROTO_ICMP, 8, 0},
	{ipv6, "ip6:ipv6-icmp", unix.IPPROTO_ICMPV6, 128, 129},
}

// send sends an echo request with the ID 0x1234 to n's own address.
func (e echo) send(t *testing.T, n *lab.Net) {
	t.Helper()
	conn, err := n.Dial(e.network, e.v.host)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	// Type, code, checksum, ID and sequence number. The kernel puts the
	// checksum into ICMPv6 only; 8 + 0x1234 + 1 is what to make up for.
	b := []byte{e.request, 0, 0, 0, 0x12, 0x34, 0, 1}
	if e.request == 8 {
		binary.BigEndian.PutUint16(b[2:], ^uint16(0x0800+0x1234+1))
	}
	send(t, conn, string(b))
}

// An echo has no ports, but an ID, and a type in each direction.
func TestConntrackTellsOfAnEcho(t *testing.T) {
	for _, e := range echoes {
		t.Run(e.v.name, func(t *testing.T) {
			n := newNet(t)
			needConntrack(t, n, nfqueue.Config{Conntrack: true})
			packets := follow(t, n, 0, nfqueue.Accept())
			addRule(t, n, e.v.family, lab.Output, lab.L4(e.protocol), lab.Tracked(^lab.Untracked), lab.Queue(0))
			e.send(t, n)
			host := netip.AddrPortFrom(netip.MustParseAddr(e.v.host), 0)
			original, reply := ends(e.protocol, host, host), ends(e.protocol, host, host)
			original.ICMPType, reply.ICMPType = e.request, e.reply
			original.ICMPID, reply.ICMPID = 0x1234, 0x1234
			for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
				p := next(t, packets)
				wantInfo(t, p, info)
				wantTuples(t, p, original, reply)
			}
		})
	}
}

// The first packets of two protocols, from port 4660 to 9999.
const (
	// Ports, verification tag 0, no checksum; INIT of 20 bytes with the tag
	// 0x0a0b0c0d, a window, one stream each way and a sequence number.
	sctpBegin = "\x12\x34\x27\x0f\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x14\x0a\x0b\x0c\x0d\x00\x00\xff\xff\x00\x01\x00\x01\x00\x00\x00\x01"

	// Ports, 5 words of header, no checksum; Request, with a sequence number of 48
	// bits and a service code.
	dccpBegin = "\x12\x34\x27\x0f\x05\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01"
)

// wantHandshake checks what is known of a connection after sctpBegin or
// dccpBegin.
func wantHandshake(t testing.TB, p *nfqueue.Packet) {
	t.Helper()
	c, err := p.Conntrack()
	must(t, err)
	switch c.Original.Protocol {
	case unix.IPPROTO_SCTP:
		// The other side is to use the tag from INIT. Old kernels wait for the cookie
		// before there is an answer.
		closed, waiting := attr.SCTPInfo{State: attr.SCTPClosed, ReplyTag: 0x0a0b0c0d}, attr.SCTPInfo{State: attr.SCTPCookieWait, ReplyTag: 0x0a0b0c0d}
		if c.SCTP != closed && c.SCTP != waiting || c.DCCP != (attr.DCCPInfo{}) {
			t.Errorf("SCTP: %+v", c)
		}
	case unix.IPPROTO_DCCP:
		if c.DCCP == (attr.DCCPInfo{}) && c.Original.Src.Port() == 0 {
			t.Log("this kernel does not track DCCP")
		} else if c.DCCP != (attr.DCCPInfo{State: attr.DCCPRequest}) || c.SCTP != (attr.SCTPInfo{}) {
			t.Errorf("DCCP: %+v", c)
		}
	}
	if c.TCP != (attr.TCPInfo{}) {
		t.Errorf("TCP: %+v", c)
	}
}

// behindSynProxy has n answer SYNs from others in its own stead, and queues what
// it sends then in connections that it tracks.
func behindSynProxy(t testing.TB, n *lab.Net, queue uint16) {
	t.Helper()
	addRules(t, n, lab.IPv4, lab.Prerouting, -300, []lab.Term{lab.In("eth0"), lab.L4(unix.IPPROTO_TCP), lab.NoTrack()})
	addRules(t, n, lab.IPv4, lab.Input, 0, []lab.Term{lab.TCP(9999), lab.Tracked(lab.Untracked), lab.SynProxy()})
	addRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Tracked(lab.New|lab.Established), lab.Queue(queue))
}

// The answer of a closed port belongs to the connection that it is about.
func TestConntrackRelatesAnICMPError(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		needConntrack(t, n, nfqueue.Config{Conntrack: true})
		packets := follow(t, n, 0, nfqueue.Accept())
		addRule(t, n, v.family, lab.Output, lab.Tracked(^lab.Untracked), lab.Queue(0))
		c, err := n.Dial("udp", v.address())
		must(t, err)
		defer c.Close()
		send(t, c, "anybody there?")
		question, answer := next(t, packets), next(t, packets)
		wantInfo(t, question, attr.InfoNew)
		wantInfo(t, answer, attr.InfoRelatedReply)
		if answer.conn.ID != question.conn.ID || answer.conn.Original != question.conn.Original {
			t.Errorf("the answer is of %#x, %v, the question of %#x, %v", answer.conn.ID, answer.conn.Original, question.conn.ID, question.conn.Original)
		}
	})
}

func TestConntrackTellsTheZone(t *testing.T) {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	addRules(t, n, lab.IPv4, lab.Output, -300, []lab.Term{lab.UDP(9999), lab.SetZone(9)})
	packets := follow(t, n, 0, nfqueue.Accept())
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
	pc, c := udpPair(t, n, "udp", ipv4.address())
	send(t, c, "a")
	wantReceived(t, pc, "a")
	send(t, c, "b")
	first, second := next(t, packets), next(t, packets)
	wantInfo(t, first, attr.InfoNew)
	wantInfo(t, second, attr.InfoNew) // there was no reply
	if first.conn.Zone != 9 || second.conn.Zone != 9 || first.conn.ID != second.conn.ID {
		t.Errorf("zone %d of connection %#x, then %d of %#x", first.conn.Zone, first.conn.ID, second.conn.Zone, second.conn.ID)
	}
}

// What a rule sends elsewhere has two addresses, one for each direction.
func TestConntrackTellsOfDestinationNAT(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		needConntrack(t, n, nfqueue.Config{Conntrack: true})
		server := netip.AddrPortFrom(netip.MustParseAddr(v.host), 8888)
		nat, err := n.NAT(v.family, lab.Output)
		must(t, err)
		_, err = nat.Add(lab.UDP(9999), lab.DNAT(server))
		must(t, err)
		packets := follow(t, n, 0, nfqueue.Accept())
		addRule(t, n, v.family, lab.Output, lab.L4(unix.IPPROTO_UDP), lab.Queue(0))
		pc, err := n.ListenPacket("udp", server.String())
		must(t, err)
		defer pc.Close()
		c, err := n.Dial("udp", v.address())
		must(t, err)
		defer c.Close()
		send(t, c, "question")
		wantReceived(t, pc, "question")
		_, err = pc.WriteTo([]byte("answer"), c.LocalAddr())
		must(t, err)
		got := make([]byte, 10)
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		if n, err := c.Read(got); err != nil || string(got[:n]) != "answer" {
			t.Errorf("read %q, %v", got[:n], err)
		}
		client, dialled := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
			p := next(t, packets)
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
		v      ipVersion
		second string
	}{{ipv4, "198.51.100.7/32"}, {ipv6, "2001:db8:7::7/128"}} {
		t.Run(c.v.name, func(t *testing.T) {
			a, b, addrA, addrB := wire(t, c.v)
			needConntrack(t, a, nfqueue.Config{Conntrack: true})
			second := netip.MustParsePrefix(c.second)
			must(t, a.AddAddr("lo", second))
			nat, err := a.NAT(c.v.family, lab.Postrouting)
			must(t, err)
			_, err = nat.Add(lab.UDP(9999), lab.Masquerade())
			must(t, err)
			packets := follow(t, a, 0, nfqueue.Accept())
			addRules(t, a, c.v.family, lab.Postrouting, 200, []lab.Term{lab.UDP(9999), lab.Queue(0)})
			server := netip.AddrPortFrom(addrB, 9999)
			pc, err := b.ListenPacket("udp", server.String())
			must(t, err)
			defer pc.Close()
			client := netip.AddrPortFrom(second.Addr(), 5555)
			from, err := a.ListenPacket("udp", client.String())
			must(t, err)
			defer from.Close()
			_, err = from.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(server))
			must(t, err)
			p := next(t, packets)
			wantTuples(t, p, ends(unix.IPPROTO_UDP, client, server),
				ends(unix.IPPROTO_UDP, server, netip.AddrPortFrom(addrA, client.Port())))
			if !p.conn.SourceNAT() || p.conn.DestinationNAT() {
				t.Errorf("source NAT %v, destination NAT %v", p.conn.SourceNAT(), p.conn.DestinationNAT())
			}
		})
	}
}

// tftp returns the action that has the helper for TFTP look at UDP.
func tftp(t testing.TB, n *lab.Net) lab.Term {
	t.Helper()
	action, err := n.Helper(lab.IPv4, "tftp", unix.IPPROTO_UDP)
	if errors.Is(err, unix.ENOENT) {
		t.Skip("this kernel has no helper for TFTP")
	}
	must(t, err)
	return action
}

// A TFTP server answers from a port of its own choice, which the kernel expects:
// the answer is a connection that knows its master.
func TestConntrackTellsHelperAndMaster(t *testing.T) {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	helper := tftp(t, n)
	packets := follow(t, n, 0, nfqueue.Accept())
	addRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Queue(0)})
	pc, c := udpPair(t, n, "udp", ipv4.address())
	send(t, c, "\x00\x01file\x00octet\x00") // read request
	receive(t, pc)
	data, err := n.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer data.Close()
	_, err = data.WriteTo([]byte("\x00\x03\x00\x01contents"), c.LocalAddr())
	must(t, err)

	request := next(t, packets)
	wantInfo(t, request, attr.InfoNew)
	wantStatus(t, request, attr.StatusHelper, attr.StatusHelper|attr.StatusExpected)
	if string(request.conn.Helper) != "tftp" || request.conn.Master != (attr.Tuple{}) {
		t.Errorf("helper %q, master %v", request.conn.Helper, request.conn.Master)
	}
	answer := next(t, packets)
	wantInfo(t, answer, attr.InfoRelated)
	wantStatus(t, answer, attr.StatusExpected, attr.StatusExpected)
	if answer.conn.Master != request.conn.Original || answer.conn.Original.Src != addrPort(data.LocalAddr()) {
		t.Errorf("the answer is %v, of %v, want of %v", answer.conn.Original, answer.conn.Master, request.conn.Original)
	}
}

// connections asks the kernel for all it tracks.
func connections(t testing.TB, n *lab.Net) (all []attr.Conntrack) {
	t.Helper()
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: n.FD()})
	must(t, err)
	defer conn.Close()
	const get = 1<<8 | 1 // IPCTNL_MSG_CT_GET of NFNL_SUBSYS_CTNETLINK
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: get, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.AF_UNSPEC, 0, 0, 0},
	})
	must(t, err)
	for _, m := range messages {
		var c attr.Conntrack
		must(t, c.Decode(m.Data[4:]))
		all = append(all, c)
	}
	return all
}

// verdictConfigs are those with which a verdict can change a connection.
var verdictConfigs = map[string]nfqueue.Config{
	"Conntrack":         {Conntrack: true},
	"ConntrackVerdicts": {ConntrackVerdicts: true},
}

// A lane of a connection is one in whose namespace rules count by connection.
func newConntrackLane(t *testing.T, cfg nfqueue.Config) *lane {
	t.Helper()
	l := &lane{net: newNet(t)}
	needConntrack(t, l.net, cfg)
	l.queue = openQueue(t, l.net, cfg)
	addRule(t, l.net, lab.IPv4, lab.Output, lab.UDP(9999), lab.Tracked(^lab.Untracked), lab.SetCTMark(0xff00), lab.Queue(cfg.Queue))
	l.to, l.from = udpPair(t, l.net, "udp", ipv4.address())
	return l
}

// A new mark is there for the next rule, and for whoever asks the kernel; bits
// outside the mask stay.
func TestVerdictChangesTheConnectionsMark(t *testing.T) {
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newConntrackLane(t, cfg)
			verdicts := []struct {
				mark, mask, want uint32
			}{
				{0x1234, 0xffffffff, 0x1234},
				{0xffff, 0x0ff0, 0xfff0}, // of 0xff00, which the rule sets
				{0, 0xf000, 0x0f00},
				{0x80000000, 0xf0000000, 0x8000ff00},
				{0x5555, 0, 0xff00}, // a mask of no bits
				{0, 0xffffffff, 0},
			}
			i := 0
			runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
				// Without Config.Conntrack packets do not tell of their connection.
				if _, err := p.Conntrack(); (err == nil) != cfg.Conntrack {
					t.Errorf("packet %d: %v", p.ID, err)
				}
				v := verdicts[i]
				i++
				return nfqueue.Accept().WithConntrackMark(v.mark, v.mask)
			})
			for _, v := range verdicts {
				after := addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.CTMark(v.want))
				send(t, l.from, "x")
				wantReceived(t, l.to, "x")
				wantPackets(t, after, 1)
				if all := connections(t, l.net); len(all) != 1 || all[0].Mark != v.want {
					t.Errorf("mark %#x with mask %#x: %+v, want %#x", v.mark, v.mask, all, v.want)
				}
			}
		})
	}
}

func TestVerdictChangesTheConnectionsLabels(t *testing.T) {
	labels := func(numbers ...int) (l attr.ConntrackLabels) {
		for _, n := range numbers {
			l.Set(n)
		}
		return l
	}
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newConntrackLane(t, cfg)
			// Connections have room for labels while there is a rule that sets any.
			addRule(t, l.net, lab.IPv4, lab.Output, lab.UDP(1), lab.SetCTLabels(labels(1)))
			verdicts := []struct{ set, mask, want attr.ConntrackLabels }{
				{labels(0, 33, 127), attr.AllLabels(), labels(0, 33, 127)},
				{labels(1, 2, 64), labels(1, 33, 64), labels(0, 1, 64, 127)},
				{labels(), labels(0), labels(1, 64, 127)},
				{labels(5), labels(), labels(1, 64, 127)}, // a mask of no labels
				{labels(), attr.AllLabels(), labels()},
			}
			i := 0
			runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict {
				v := verdicts[i]
				i++
				return nfqueue.Accept().WithConntrackLabels(v.set, v.mask)
			})
			after := map[int]*lab.Rule{}
			count := map[int]uint64{}
			for _, n := range []int{0, 1, 2, 33, 64, 127} {
				after[n] = addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.CTLabel(labels(n)))
			}
			for _, v := range verdicts {
				send(t, l.from, "x")
				wantReceived(t, l.to, "x")
				for n, r := range after {
					if v.want.Has(n) {
						count[n]++
					}
					wantPackets(t, r, count[n])
				}
				if all := connections(t, l.net); len(all) != 1 || all[0].Labels != v.want || all[0].HasLabels != (v.want != labels()) {
					t.Errorf("labels %x with mask %x: %+v, want %x", v.set, v.mask, all, v.want)
				}
			}
		})
	}
}

// A connection with a long time to live keeps it until its next packet comes,
// and one with a short time is soon gone.
func TestVerdictChangesTheConnectionsTimeout(t *testing.T) {
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newConntrackLane(t, cfg)
			timeouts := make(chan time.Duration, 1)
			runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict {
				return nfqueue.Accept().WithConntrackTimeout(<-timeouts)
			})
			for i, want := range []time.Duration{55 * time.Minute, 99 * time.Minute} {
				timeouts <- want - time.Millisecond // is rounded up
				send(t, l.from, "x")
				wantReceived(t, l.to, "x")
				if i == 0 && !kernelSince(6, 1) {
					continue // old kernels add the time since they booted to that of a new connection
				}
				all := connections(t, l.net)
				if len(all) != 1 || all[0].Timeout > want || all[0].Timeout < want-time.Minute {
					t.Errorf("after packet %d: %+v, want one for %v", i, all, want)
				}
			}
			timeouts <- time.Second
			send(t, l.from, "z")
			wantReceived(t, l.to, "z")
			await(t, "for the end of the connection", func() bool { return len(connections(t, l.net)) == 0 })
		})
	}
}

// A verdict sets and clears bits of a connection's status. Where it would clear
// one that has to stay, it changes nothing behind that.
func TestVerdictChangesTheConnectionsStatus(t *testing.T) {
	const can = attr.StatusSeenReply | attr.StatusAssured | attr.StatusFixedTimeout | attr.StatusHelper
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newConntrackLane(t, cfg)
			verdicts := make(chan nfqueue.Verdict, 1)
			runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict { return <-verdicts })
			accept := nfqueue.Accept().WithConntrackMark(7, 0xffffffff)
			for i, c := range []struct {
				status, want attr.ConntrackStatus
				mark         uint32
			}{
				{attr.StatusFixedTimeout | attr.StatusConfirmed | attr.StatusDying, attr.StatusFixedTimeout, 7},
				{attr.StatusHelper, attr.StatusHelper, 7},
				{attr.StatusAssured | attr.StatusFixedTimeout, attr.StatusAssured | attr.StatusFixedTimeout, 7},
				{attr.StatusHelper, attr.StatusAssured | attr.StatusFixedTimeout, 0xff00}, // what the rule sets
				{attr.StatusAssured | attr.StatusSeenReply, attr.StatusAssured | attr.StatusSeenReply, 7},
				{attr.StatusAssured, attr.StatusAssured | attr.StatusSeenReply, 0xff00},
			} {
				verdicts <- accept.WithConntrackStatus(c.status)
				send(t, l.from, "x")
				wantReceived(t, l.to, "x")
				if all := connections(t, l.net); len(all) != 1 || all[0].Status&can != c.want || all[0].Mark != c.mark {
					t.Errorf("after packet %d: %+v, want status %v, mark %#x", i, all, c.want, c.mark)
				}
			}
		})
	}
}

// A packet that is not tracked, or that comes from a queue which was not asked
// to change connections, gets the fallback, and the program is told.
func TestVerdictOnAnUntrackedPacketGetsTheFallback(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   nfqueue.Config
		rules []lab.Term
	}{
		{"no rule has conntrack", nfqueue.Config{Conntrack: true}, nil},
		{"notrack", nfqueue.Config{Conntrack: true}, []lab.Term{lab.NoTrack()}},
		{"neither Conntrack nor ConntrackVerdicts", nfqueue.Config{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t)
			if c.cfg.Conntrack {
				needConntrack(t, n, c.cfg)
			}
			var told collector
			c.cfg.OnError, c.cfg.Fallback = told.add, nfqueue.Accept().WithMark(1)
			q := openQueue(t, n, c.cfg)
			if len(c.rules) > 0 {
				addRules(t, n, lab.IPv4, lab.Output, -300, append([]lab.Term{lab.UDP(9999)}, c.rules...))
				untracked := addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Tracked(lab.Untracked))
				t.Cleanup(func() { wantPackets(t, untracked, 3) })
			}
			addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
			fallback := addRule(t, n, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(1))
			var labels attr.ConntrackLabels
			labels.Set(1)
			verdicts := []nfqueue.Verdict{
				nfqueue.Drop().WithConntrackMark(1, 0xffffffff),
				nfqueue.Drop().WithConntrackLabels(labels, labels),
				nfqueue.Drop().WithConntrackTimeout(time.Hour),
			}
			i := 0
			runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if _, err := p.Conntrack(); !errors.Is(err, nfqueue.ErrUntracked) || p.ConntrackInfo != attr.InfoUntracked {
					t.Errorf("packet %d is %v, %v; want untracked and ErrUntracked", p.ID, p.ConntrackInfo, err)
				}
				i++
				return verdicts[i-1]
			})
			pc, conn := udpPair(t, n, "udp", ipv4.address())
			for i := range verdicts {
				send(t, conn, fmt.Sprint(i))
				wantReceived(t, pc, fmt.Sprint(i))
			}
			wantPackets(t, fallback, uint64(len(verdicts)))
			if told.count(nfqueue.ErrUntracked) != len(verdicts) {
				t.Errorf("OnError was told of %v", told.errs)
			}
			told.wantOnly(t, nfqueue.ErrUntracked)
		})
	}
}

// What the kernel cannot do it says nothing of: there is no room for labels
// while no rule sets any, and what comes behind them is lost too.
func TestLabelsWithoutRoomAreLost(t *testing.T) {
	l := newConntrackLane(t, nfqueue.Config{Conntrack: true})
	var labels attr.ConntrackLabels
	labels.Set(1)
	runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithConntrackMark(1, 0xffffffff).WithConntrackLabels(labels, labels).WithConntrackTimeout(time.Hour)
	})
	for range 2 {
		send(t, l.from, "x")
		wantReceived(t, l.to, "x")
	}
	all := connections(t, l.net)
	if len(all) != 1 || all[0].Mark != 0xff00 || all[0].Labels != (attr.ConntrackLabels{}) || all[0].Timeout < 50*time.Minute {
		t.Errorf("connections %+v, want one with a new timeout only", all)
	}
}

// A user-space helper lets connections in that belong to the one it has looked
// at, whether it changes that or not.
func TestVerdictCanExpectAConnection(t *testing.T) {
	for name, accept := range map[string]nfqueue.Verdict{
		"and nothing else": nfqueue.Accept(),
		"and a mark":       nfqueue.Accept().WithConntrackMark(1, 0xffffffff),
	} {
		for configured, cfg := range verdictConfigs {
			t.Run(name+", "+configured, func(t *testing.T) { testExpectation(t, cfg, accept) })
		}
	}
}

// testExpectation sends a packet over a connection with a helper, has another
// connection expected by its verdict, and opens that.
func testExpectation(t *testing.T, cfg nfqueue.Config, accept nfqueue.Verdict) {
	n := newNet(t)
	needConntrack(t, n, cfg)
	helper := tftp(t, n) // the kernel expects nothing without a helper
	addRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.UDP(9999), lab.Queue(0)})
	packets := follow(t, n, 1, nfqueue.Accept())
	data, err := n.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer data.Close()
	server := addrPort(data.LocalAddr())
	addRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Tracked(lab.Related), lab.Queue(1)})

	pc, c := udpPair(t, n, "udp", ipv4.address())
	client := addrPort(c.LocalAddr())
	q := openQueue(t, n, cfg)
	runQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		return accept.WithExpectation(attr.Expectation{
			Tuple: ends(unix.IPPROTO_UDP, netip.AddrPortFrom(server.Addr(), 1), client),
			Mask:  netip.MustParseAddrPort("255.255.255.255:0"), // any port
		})
	})
	send(t, c, "a protocol that the kernel does not know")
	wantReceived(t, pc, "a protocol that the kernel does not know")

	_, err = data.WriteTo([]byte("expected"), c.LocalAddr())
	must(t, err)
	p := next(t, packets)
	if want := ends(unix.IPPROTO_UDP, client, addrPort(pc.LocalAddr())); p.conn.Status&attr.StatusExpected == 0 || p.conn.Master != want {
		t.Errorf("%v, status %v, master %v; want expected, of %v", p.ConntrackInfo, p.conn.Status, p.conn.Master, want)
	}
	wantInfo(t, p, attr.InfoRelated)
}

// Behind NAT a new connection goes where its master's end has said, and one that
// is permanent lets others follow.
func TestExpectedConnectionFollowsItsMasterThroughNAT(t *testing.T) {
	n := newNet(t)
	cfg := nfqueue.Config{ConntrackVerdicts: true}
	needConntrack(t, n, cfg)
	helper := tftp(t, n)
	_, err := n.NAT(lab.IPv4, lab.Output)
	must(t, err)
	addRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.UDP(9999), lab.Queue(0)})
	related := addRule(t, n, lab.IPv4, lab.Postrouting, lab.L4(unix.IPPROTO_UDP), lab.Tracked(lab.Related))
	inside, err := n.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer inside.Close()
	pc, c := udpPair(t, n, "udp", ipv4.address())
	announced := netip.MustParseAddrPort("127.0.0.1:4444")
	q := openQueue(t, n, cfg)
	runQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithExpectation(attr.Expectation{
			Tuple:     ends(unix.IPPROTO_UDP, announced, announced),
			Mask:      netip.MustParseAddrPort("255.0.0.0:0"),
			Permanent: true,
			NAT:       attr.ExpectationNAT{Reply: true, To: addrPort(inside.LocalAddr())},
			Function:  "nat-follow-master",
		})
	})
	send(t, c, "a protocol that the kernel does not know")
	wantReceived(t, pc, "a protocol that the kernel does not know")

	for _, text := range []string{"one", "another"} {
		from, err := n.Dial("udp", announced.String())
		must(t, err)
		defer from.Close()
		send(t, from, text)
		wantReceived(t, inside, text)
	}
	wantPackets(t, related, 2)
}

// Without a helper the kernel would expect nothing and say nothing.
func TestVerdictCannotExpectWithoutAHelper(t *testing.T) {
	var told collector
	cfg := nfqueue.Config{Conntrack: true, Fallback: nfqueue.Accept().WithMark(1), OnError: told.add}
	l := newConntrackLane(t, cfg)
	fallback := addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(1))
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		c, err := p.Conntrack()
		if err != nil {
			t.Error(err)
		}
		return nfqueue.Drop().WithExpectation(attr.Expectation{Tuple: c.Reply, Mask: netip.MustParseAddrPort("255.255.255.255:0")})
	})
	send(t, l.from, "x")
	wantReceived(t, l.to, "x")
	wantPackets(t, fallback, 1)
	told.wantOnly(t, nfqueue.ErrNoHelper)
}

// queueBehindNAT queues TCP that n sends, and has port 9998 of to stand for port
// 9999, and the helper for FTP at work.
func queueBehindNAT(t testing.TB, n *lab.Net, to netip.Addr, queue uint16) {
	t.Helper()
	helper, err := n.Helper(lab.IPv4, "ftp", unix.IPPROTO_TCP)
	if errors.Is(err, unix.ENOENT) {
		t.Skip("this kernel has no helper for FTP")
	}
	must(t, err)
	tcp := lab.L4(unix.IPPROTO_TCP)
	addRules(t, n, lab.IPv4, lab.Output, -150, []lab.Term{tcp, lab.Tracked(lab.New), helper})
	nat, err := n.NAT(lab.IPv4, lab.Output)
	must(t, err)
	_, err = nat.Add(lab.TCP(9998), lab.DNAT(netip.AddrPortFrom(to, 9999)))
	must(t, err)
	addRule(t, n, lab.IPv4, lab.Output, tcp, lab.Queue(queue))
}

// Where NAT and a helper are at work the kernel adjusts the sequence numbers of
// a connection whose data a verdict lengthens, if the verdict is about the
// connection too.
func TestKernelAdjustsSequenceNumbersBehindNAT(t *testing.T) {
	needRewriting(t)
	const extra = "before all else, "
	a, b, _, addrB := wire(t, ipv4)
	needConntrack(t, a, nfqueue.Config{Conntrack: true})
	queueBehindNAT(t, a, addrB, 0)
	q := openQueue(t, a, nfqueue.Config{Conntrack: true})
	var first uint32
	adjusted := make(chan attr.SeqAdj, 100)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		s := segmentOf(p.Payload)
		if len(s.data()) == 0 {
			return nfqueue.Accept()
		}
		if first == 0 {
			first = s.seq()
		}
		if s.seq() != first {
			c, _ := p.Conntrack()
			adjusted <- c.OriginalSeqAdj
			return nfqueue.Accept()
		}
		head := p.Payload[:len(p.Payload)-len(s.data())]
		longer := append(append(bytes.Clone(head), extra...), s.data()...)
		return nfqueue.Accept().WithPayload(longer).WithConntrackMark(1, 0xffffffff)
	})

	l, err := b.Listen("tcp", netip.AddrPortFrom(addrB, 9999).String())
	must(t, err)
	defer l.Close()
	client, err := a.Dial("tcp", netip.AddrPortFrom(addrB, 9998).String())
	must(t, err)
	defer client.Close()
	server, err := l.Accept()
	must(t, err)
	defer server.Close()
	deadline := time.Now().Add(patience)
	must(t, client.SetDeadline(deadline))
	must(t, server.SetDeadline(deadline))
	for _, w := range []struct {
		from, to  net.Conn
		say, hear string
	}{
		{client, server, "hello", extra + "hello"},
		{server, client, "good day", "good day"},
		{client, server, "goodbye", "goodbye"},
	} {
		send(t, w.from, w.say)
		got := make([]byte, len(w.hear))
		_, err := io.ReadFull(w.to, got)
		must(t, err)
		if string(got) != w.hear {
			t.Errorf("heard %q, want %q", got, w.hear)
		}
	}
	if got := next(t, adjusted); got.After != int32(len(extra)) || got.Before != 0 {
		t.Errorf("adjusted by %+v, want %d", got, len(extra))
	}
	must(t, client.Close())
	if n, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d bytes, %v, want the end", n, err)
	}
}

// label is one that AppArmor has without any profile loaded.
const label = "unconfined"

// secMark returns the action that gives packets the label. ok is false if no
// security module has labels.
func secMark(t testing.TB, n *lab.Net) (mark lab.Term, ok bool) {
	t.Helper()
	mark, err := n.SecMark(lab.IPv4, label)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return mark, false
	}
	must(t, err)
	return mark, true
}

// A security module that has labels tells them of packets and of connections;
// with others the fields are empty.
func TestPacketTellsItsSecurityContext(t *testing.T) {
	n := newNet(t)
	cfg := nfqueue.Config{SecurityContext: true, Conntrack: true, BestEffort: true}
	q := openQueue(t, n, cfg)
	wantPacket, wantConn := "", ""
	out, err := n.Chain(lab.IPv4, lab.Output, 0)
	must(t, err)
	if mark, ok := secMark(t, n); ok {
		_, err = out.Add(lab.UDP(9999), mark, lab.SetCTSecMark())
		must(t, err)
		if q.Granted().SecurityContext {
			wantPacket = label
		}
		if q.Granted().Conntrack {
			wantConn = label
		}
	}
	_, err = out.Add(lab.UDP(9999), lab.Queue(0))
	must(t, err)
	type contexts struct{ packet, conn string }
	got := make(chan contexts, 1)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		c, _ := p.Conntrack() // without conntrack it is empty
		got <- contexts{string(bytes.TrimRight(p.SecurityContext, "\x00")), string(c.SecurityContext)}
		return nfqueue.Accept()
	})
	_, c := udpPair(t, n, "udp", ipv4.address())
	send(t, c, "x")
	if got, want := next(t, got), (contexts{wantPacket, wantConn}); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if wantPacket == "" || wantConn == "" {
		t.Skip("no labels here, or none of packets, or none of connections")
	}
	t.Logf("told %q", wantPacket)
}
