//go:build linux

package rewrite

import (
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
