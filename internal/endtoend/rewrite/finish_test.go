//go:build linux

package rewrite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A kind is a kind of datagram.
type kind struct {
	name    string
	v       endtoend.IPVersion
	options []sockopt           // of the sender
	headers int                 // length of what the kernel then puts before the body
	sent    func(b []byte) bool // whether a packet is of this kind
	covered uint32              // bytes of the body that the checksum of UDP-Lite covers; 0 for UDP
	setup   func(t *testing.T, n *lab.Net)
	send    func(t *testing.T, n *lab.Net) // for what a socket doesn't send
}

type sockopt struct {
	level, name int
	value       string
}

// Socket options of UDP-Lite, of linux/udp.h.
const (
	sendCoverage    = 10 // UDPLITE_SEND_CSCOV
	receiveCoverage = 11 // UDPLITE_RECV_CSCOV
)

func kinds() []kind {
	const padding = "\x00\x00\x01\x04\x00\x00\x00\x00"
	const ipv4Options = "\x01" + "\x07\x07\x04\x00\x00\x00\x00" + "\x44\x08\x05\x00\x00\x00\x00\x00" // no-op, record route, timestamp
	// A segment routing header by way of an address. In the place of its first
	// segment, which is the last on the way, the kernel puts the destination.
	by := middle.As16()
	route := "\x00\x04\x04\x01\x01\x00\x00\x00" + strings.Repeat("\x00", 16) + string(by[:])

	extension := func(name string, number byte, headers int, options ...sockopt) kind {
		return kind{name: name, v: endtoend.IPv6, options: options, headers: 48 + headers, sent: func(b []byte) bool { return b[6] == number }}
	}
	routed := extension("segment routing", unix.IPPROTO_ROUTING, 40, sockopt{unix.IPPROTO_IPV6, unix.IPV6_RTHDR, route})
	routed.setup = routeThroughMiddle
	whole := extension("fragment header on a whole datagram", unix.IPPROTO_FRAGMENT, 8)
	whole.send = sendWholeFragment
	hopByHop := sockopt{unix.IPPROTO_IPV6, unix.IPV6_HOPOPTS, padding}
	destination := sockopt{unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, padding}
	lite := func(v endtoend.IPVersion, covered uint32) kind {
		cover := sockopt{unix.IPPROTO_UDPLITE, sendCoverage, number(8 + covered)}
		return kind{name: "UDP-Lite, " + v.Name, v: v, options: []sockopt{cover}, headers: v.Headers, covered: covered,
			sent: func(b []byte) bool { return binary.BigEndian.Uint16(b[v.Headers-4:]) == uint16(8+covered) }}
	}
	return []kind{
		{name: "UDP without a checksum", v: endtoend.IPv4, headers: 28,
			options: []sockopt{{unix.SOL_SOCKET, unix.SO_NO_CHECK, number(1)}},
			sent:    func(b []byte) bool { return b[26] == 0 && b[27] == 0 }},
		{name: "IPv4 options", v: endtoend.IPv4, headers: 28 + 16,
			options: []sockopt{{unix.IPPROTO_IP, unix.IP_OPTIONS, ipv4Options}},
			sent:    func(b []byte) bool { return b[0] == 0x49 && b[21] == 7 && b[28] == 0x44 }},
		extension("hop-by-hop options", unix.IPPROTO_HOPOPTS, 8, hopByHop),
		extension("destination options", unix.IPPROTO_DSTOPTS, 8, destination),
		extension("both options", unix.IPPROTO_HOPOPTS, 16, destination, hopByHop),
		routed,
		whole,
		lite(endtoend.IPv4, 2),
		lite(endtoend.IPv6, 2),
	}
}

// middle is another address of the loopback device, on the way of a route.
var middle = netip.MustParseAddr("2001:db8::2")

// routeThroughMiddle gives n that address, and lets packets be routed by it.
func routeThroughMiddle(t *testing.T, n *lab.Net) {
	t.Helper()
	for _, device := range []string{"all", "lo"} {
		testkit.Must(t, n.Sysctl("net/ipv6/conf/"+device+"/seg6_enabled", "1"))
	}
	testkit.Must(t, n.AddAddr("lo", netip.PrefixFrom(middle, 128)))
	// Its routes appear a little later: one to the device, one to the machine.
	testkit.Await(t, "two routes to "+middle.String(), func() bool {
		routes, err := endtoend.ProcNet(n, "ipv6_route")
		testkit.Must(t, err)
		return strings.Count(string(routes), fmt.Sprintf("%x 80 ", middle.AsSlice())) == 2
	})
}

// sendWholeFragment sends a datagram whose only fragment it is.
func sendWholeFragment(t *testing.T, n *lab.Net) {
	t.Helper()
	to := netip.IPv6Loopback()
	b := endtoend.UDPPacket(t, to, to, "before")
	b = slices.Insert(b, 40, b[6], 0, 0, 0, 1, 2, 3, 4)
	b[6] = unix.IPPROTO_FRAGMENT
	testkit.Must(t, nfqueue.Finish(b))
	endtoend.SendRaw(t, n, to, b)
}

// number returns the value of a socket option that is an int.
func number(n uint32) string {
	return string(binary.NativeEndian.AppendUint32(nil, n))
}

// pair returns a receiver and a sender.
func (k kind) pair(t *testing.T, n *lab.Net) (to net.PacketConn, from net.Conn) {
	t.Helper()
	if k.covered == 0 {
		to, from = endtoend.UDPPair(t, n, "udp", k.v.Address())
	} else {
		in, out := socket(t, n, k.v, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE), socket(t, n, k.v, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
		testkit.Must(t, unix.SetsockoptInt(int(in.Fd()), unix.IPPROTO_UDPLITE, receiveCoverage, 8))
		testkit.Must(t, unix.Bind(int(in.Fd()), sockaddr(k.v)))
		testkit.Must(t, unix.Connect(int(out.Fd()), sockaddr(k.v)))
		var err error
		to, err = net.FilePacketConn(in)
		testkit.Must(t, err)
		t.Cleanup(func() { to.Close() })
		from, err = net.FileConn(out)
		testkit.Must(t, err)
		t.Cleanup(func() { from.Close() })
	}
	for _, o := range k.options {
		setOption(t, from, o)
	}
	return to, from
}

// setOption sets an option of c's socket.
func setOption(t *testing.T, c net.Conn, o sockopt) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), o.level, o.name, o.value) }))
	testkit.Must(t, err)
}

// socket returns a blocking socket, and skips the test where the kernel lacks its
// protocol.
func socket(t *testing.T, n *lab.Net, v endtoend.IPVersion, typ, protocol int) *os.File {
	t.Helper()
	family := unix.AF_INET
	if v.Family == lab.IPv6 {
		family = unix.AF_INET6
	}
	var fd int
	err := n.Do(func() (err error) {
		fd, err = unix.Socket(family, typ|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skipf("a socket of protocol %d: %v", protocol, err)
	}
	testkit.Must(t, err)
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { f.Close() })
	// Also for accept and connect.
	timeout := unix.NsecToTimeval(testkit.Patience.Nanoseconds())
	testkit.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	testkit.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout))
	return f
}

// sockaddr returns the address where the receivers of tests listen.
func sockaddr(v endtoend.IPVersion) unix.Sockaddr {
	if v.Family == lab.IPv6 {
		return &unix.SockaddrInet6{Port: 9999, Addr: netip.IPv6Loopback().As16()}
	}
	return &unix.SockaddrInet4{Port: 9999, Addr: [4]byte{127, 0, 0, 1}}
}

// wrong returns how many datagrams of the kind were refused for their checksum.
func (k kind) wrong(t *testing.T, n *lab.Net) int {
	t.Helper()
	switch {
	case k.covered == 0:
		return checksumErrors(t, n, k.v)
	case k.v.Family == lab.IPv6:
		return snmp6(t, n, "UdpLite6InCsumErrors")
	}
	return snmp(t, n, "UdpLite:", "InCsumErrors")
}

// spoilt sends b finished, but for a bit of a byte, counted from its end.
func spoilt(t *testing.T, b []byte, i int) nfqueue.Verdict {
	if err := nfqueue.Finish(b); err != nil {
		t.Error(err)
	}
	b[len(b)-i] ^= 1
	return nfqueue.Accept().WithRawPayload(b)
}

// Every kind of datagram is received with another body. That its receiver would
// have noticed a wrong checksum is shown by one that it does not receive.
func TestRewrittenDatagramOfEveryKindArrives(t *testing.T) {
	endtoend.NeedRewriting(t)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			if k.setup != nil {
				k.setup(t, n)
			}
			q := endtoend.OpenQueue(t, n, nfqueue.Config{})
			to, from := k.pair(t, n)
			if to == nil {
				return
			}
			protocol := lab.L4(unix.IPPROTO_UDP)
			if k.covered > 0 {
				protocol = lab.L4(unix.IPPROTO_UDPLITE)
			}
			endtoend.AddRule(t, n, k.v.Family, lab.Output, protocol, lab.DstPort(9999), lab.Queue(0))
			k.exchange(t, n, q, to, from)
		})
	}
}

// exchange sends datagrams past q.
func (k kind) exchange(t *testing.T, n *lab.Net, q *nfqueue.Queue, to net.PacketConn, from net.Conn) {
	type job struct {
		body  string
		spoil int // which byte of the finished packet, from its end, if any
	}
	jobs := make(chan job, 1)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if len(p.Payload) != k.headers+len("before") || !k.sent(p.Payload) {
			t.Errorf("the kernel sent something else: % x", p.Payload)
			return nfqueue.Accept()
		}
		j := <-jobs
		b := append(p.Payload[:k.headers:k.headers], j.body...)
		if j.spoil > 0 {
			return spoilt(t, b, j.spoil)
		}
		return nfqueue.Accept().WithPayload(b)
	})
	pass := func(body string, spoil int) {
		jobs <- job{body, spoil}
		if k.send != nil {
			k.send(t, n)
			return
		}
		endtoend.Send(t, from, "before")
	}
	for _, size := range []int{2, 3, 4, 5, 17, 1400, 9000} {
		pass(endtoend.Letters(size), 0)
		endtoend.WantReceived(t, to, endtoend.Letters(size))
	}
	if k.covered > 0 {
		pass("spoilt", 1)
		endtoend.WantReceived(t, to, "spoilu")
	}
	if errs := k.wrong(t, n); errs != 0 {
		t.Errorf("%d wrong checksums", errs)
	}
	pass("wrong", len("wrong"))
	if k.v.Family == lab.IPv4 {
		pass("wrong", k.headers+len("wrong")-4) // in the IP header, its ID
	}
	pass("right", 0)
	endtoend.WantReceived(t, to, "right")
	if errs := k.wrong(t, n); errs != 1 {
		t.Errorf("%d wrong checksums, want 1", errs)
	}
	if k.v.Family == lab.IPv4 {
		if errs := snmp(t, n, "Ip:", "InHdrErrors"); errs != 1 {
			t.Errorf("%d wrong IP headers, want 1", errs)
		}
	}
}

// Fragments have their transport checksum left alone: it is right if the rewrite
// of all of them keeps the sum, as swapping 16-bit words does.
func TestRewrittenFragmentsAreReassembled(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, _, addrB := endtoend.NetPair(t, v)
		q := endtoend.OpenQueue(t, b, nfqueue.Config{})
		rule := endtoend.AddRule(t, b, v.Family, lab.Prerouting, lab.L4(unix.IPPROTO_UDP), lab.Queue(0))
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			header, offset := 20, binary.BigEndian.Uint16(p.Payload[6:])&0x1fff
			if v.Family == lab.IPv6 {
				header, offset = 40+8, binary.BigEndian.Uint16(p.Payload[42:])&0xfff8
			}
			body := p.Payload[header:]
			if offset == 0 {
				body = body[8:] // the UDP header
			}
			spoil := bytes.Contains(body, []byte("spoil"))
			for w := range slices.Chunk(body, 4) {
				w[0], w[1], w[2], w[3] = w[2], w[3], w[0], w[1]
			}
			if spoil { // what WithPayload refuses, the receiver drops
				body[0] ^= 1
				refused := nfqueue.Accept().WithPayload(p.Payload)
				if _, err := refused.Append(nil, p); !errors.Is(err, nfqueue.ErrFragment) {
					t.Errorf("changed data: got %v", err)
				}
				return nfqueue.Accept().WithRawPayload(p.Payload)
			}
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		address := netip.AddrPortFrom(addrB, 9999).String()
		to, err := b.ListenPacket("udp", address)
		testkit.Must(t, err)
		defer to.Close()
		from, err := a.Dial("udp", address)
		testkit.Must(t, err)
		defer from.Close()

		endtoend.Send(t, from, strings.Repeat("spoil...", 500), strings.Repeat("cdab", 1000))
		endtoend.WantReceived(t, to, strings.Repeat("abcd", 1000))
		endtoend.WantPackets(t, rule, 2*3)
		if n := checksumErrors(t, b, v); n != 1 {
			t.Errorf("%d wrong checksums, want 1", n)
		}
		if s := q.Stats(); s.Refused != 0 {
			t.Errorf("%d verdicts refused", s.Refused)
		}
	})
}

// Connection tracking checks the CRC of SCTP, with or without a receiver.
func TestRewrittenSCTPIsValidToConnectionTracking(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, _, addrB := endtoend.NetPair(t, v)
		dropInvalid(t, b)
		network := map[lab.Family]string{lab.IPv4: "ip4:132", lab.IPv6: "ip6:132"}[v.Family]
		to, err := b.ListenPacket(network, addrB.String())
		testkit.Must(t, err)
		defer to.Close()
		from, err := a.Dial(network, addrB.String())
		testkit.Must(t, err)
		defer from.Close()
		q := endtoend.OpenQueue(t, a, nfqueue.Config{})
		endtoend.AddRule(t, a, v.Family, lab.Output, lab.L4(unix.IPPROTO_SCTP), lab.Queue(0))
		bodies := make(chan string, 1)
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			b := append(p.Payload[:v.Headers-8:v.Headers-8], sctpInit(<-bodies)...)
			if bytes.HasSuffix(b, []byte("wrong")) {
				return spoilt(t, b, 1)
			}
			return nfqueue.Accept().WithPayload(b)
		})
		for _, size := range []int{16, 17, 18, 19, 20, 1000, 1400} {
			for _, body := range []string{endtoend.Letters(size) + "wrong", endtoend.Letters(size)} {
				bodies <- body
				endtoend.Send(t, from, sctpInit(endtoend.Letters(16)))
			}
			got, want := endtoend.Receive(t, to), sctpInit(endtoend.Letters(size))
			if got[:8] != want[:8] || got[12:] != want[12:] {
				t.Errorf("received % x, want % x", got, want)
			}
		}
	})
}

// sctpInit returns an SCTP packet with an INIT chunk, and zeros for its CRC.
func sctpInit(body string) string {
	b := []byte{0x30, 0x39, 0x27, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(body)))
	return string(b) + body
}

// dropInvalid has n drop what comes in and makes no sense to connection tracking.
func dropInvalid(t *testing.T, n *lab.Net) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	testkit.Must(t, err)
	table := conn.AddTable(&nftables.Table{Name: "invalid", Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: unix.NFT_REG_1},
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4,
			Mask: []byte(number(expr.CtStateBitINVALID)), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	testkit.Must(t, conn.Flush())
}

const sctpData = 0 // the type of a chunk

// The CRC of a local SCTP sender is pending when the packet is queued.
func TestRewrittenSCTPIsReceived(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		l := socket(t, n, v, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
		for _, timeout := range []string{"rto_min", "rto_initial"} { // until what is lost is sent again
			testkit.Must(t, n.Sysctl("net/sctp/"+timeout, "10"))
		}
		c := socket(t, n, v, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
		q := endtoend.OpenQueue(t, n, nfqueue.Config{})
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.L4(unix.IPPROTO_SCTP), lab.Queue(0))
		times := 0
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			chunk := p.Payload[v.Headers-8+12:]
			if chunk[0] == sctpData {
				if !p.ChecksumPending {
					t.Error("the CRC is not pending")
				}
				copy(chunk[16:], bytes.ToUpper(chunk[16:]))
				if times++; times == 1 {
					return spoilt(t, p.Payload, 1)
				}
			}
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		testkit.Must(t, unix.Bind(int(l.Fd()), sockaddr(v)))
		testkit.Must(t, unix.Listen(int(l.Fd()), 1))
		testkit.Must(t, unix.Connect(int(c.Fd()), sockaddr(v)))
		fd, _, err := unix.Accept(int(l.Fd()))
		testkit.Must(t, err)
		defer unix.Close(fd)
		_, err = unix.Write(int(c.Fd()), []byte("a message"))
		testkit.Must(t, err)
		b := make([]byte, 64)
		size, err := unix.Read(fd, b)
		testkit.Must(t, err)
		if got := string(b[:size]); got != "A MESSAGE" {
			t.Errorf("received %q", got)
		}
		counters, err := endtoend.ProcNet(n, "sctp/snmp")
		testkit.Must(t, err)
		fields := strings.Fields(string(counters))
		if i := slices.Index(fields, "SctpChecksumErrors"); i < 0 || fields[i+1] != "1" {
			t.Errorf("want 1 wrong checksum:\n%s", counters)
		}
	})
}
