//go:build linux

package endtoend

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"path"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// With -capture the tests in this file print what they have captured as files
// for the folders testdata/captured of nfqueue and nflog: a line each, "capture:",
// the file's name and its contents in base64. From a virtual machine:
//
//	.ci/vm/run amd64-6.12 -v -run TestCapture ./internal/endtoend -capture | sed -n 's/^ *capture: //p' |
//		while read -r file contents; do mkdir -p "${file%/*}"; base64 -d <<<"$contents" >"$file"; done
//
// The tests there want a text beside each, which go test -run Captured -update
// writes, for s390x with GOARCH=s390x and -exec qemu-s390x.
var capture = flag.Bool("capture", false, "print captured messages as files")

// A tape is a netfilter socket that keeps what passes it, in the format of pcap
// with the link type NETLINK.
type tape struct {
	t    testing.TB
	fd   int
	file []byte
}

// newTape opens a socket in n.
func newTape(t testing.TB, n *lab.Net) *tape {
	t.Helper()
	tp := &tape{t: t}
	must(t, n.Do(func() (err error) {
		tp.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	}))
	t.Cleanup(func() { unix.Close(tp.fd) })
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	must(t, unix.SetsockoptTimeval(tp.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))

	const magic, major, minor, snaplen, linkNetlink = 0xa1b2c3d4, 2, 4, 1 << 18, 253
	tp.file = binary.NativeEndian.AppendUint32(tp.file, magic)
	tp.file = binary.NativeEndian.AppendUint16(tp.file, major)
	tp.file = binary.NativeEndian.AppendUint16(tp.file, minor)
	tp.file = append(tp.file, make([]byte, 8)...) // time zone and accuracy
	tp.file = binary.NativeEndian.AppendUint32(tp.file, snaplen)
	tp.file = binary.NativeEndian.AppendUint32(tp.file, linkNetlink)
	return tp
}

// keep adds a datagram to the file, as the device nlmon delivers it.
func (tp *tape) keep(toKernel bool, datagram []byte) {
	const (
		packetUser, packetKernel = 6, 7 // who it is for
		arphrdNetlink            = 824
	)
	receiver := uint16(packetUser)
	if toKernel {
		receiver = packetKernel
	}
	now := time.Now()
	for _, v := range []uint32{uint32(now.Unix()), uint32(now.Nanosecond() / 1000), uint32(16 + len(datagram)), uint32(16 + len(datagram))} {
		tp.file = binary.NativeEndian.AppendUint32(tp.file, v)
	}
	tp.file = binary.BigEndian.AppendUint16(tp.file, receiver)
	tp.file = binary.BigEndian.AppendUint16(tp.file, arphrdNetlink)
	tp.file = append(tp.file, make([]byte, 10)...) // no address
	tp.file = binary.BigEndian.AppendUint16(tp.file, unix.NETLINK_NETFILTER)
	tp.file = append(tp.file, datagram...)
}

func (tp *tape) send(datagram []byte) {
	tp.t.Helper()
	tp.keep(true, datagram)
	must(tp.t, unix.Sendto(tp.fd, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// receive returns the messages of the next datagram.
func (tp *tape) receive() (messages []nfnl.Message) {
	tp.t.Helper()
	b := make([]byte, 1<<18)
	n, _, err := unix.Recvfrom(tp.fd, b, 0)
	for err == unix.EINTR { // with a timeout the kernel does not begin again by itself
		n, _, err = unix.Recvfrom(tp.fd, b, 0)
	}
	must(tp.t, err)
	tp.keep(false, b[:n])
	for b = b[:n]; len(b) > 0; {
		var m nfnl.Message
		m, b, err = nfnl.Next(b)
		must(tp.t, err)
		messages = append(messages, m)
	}
	return messages
}

// configure sends a request and waits for its answer.
func (tp *tape) configure(m nfnl.Message, err error) {
	tp.t.Helper()
	must(tp.t, err)
	m.Flags, m.Seq = nfnl.FlagRequest|nfnl.FlagAck, 1
	tp.send(m.Append(nil))
	r, ok := tp.receive()[0].Reply()
	if !ok || r.Err() != nil {
		tp.t.Fatalf("answer %+v", r)
	}
}

// accept returns the next packet after accepting it.
func (tp *tape) accept() *nfqueue.Packet {
	tp.t.Helper()
	p := tp.queued()
	tp.answer(p, nfqueue.Accept())
	return p
}

// queued returns the next packet.
func (tp *tape) queued() *nfqueue.Packet {
	tp.t.Helper()
	p := new(nfqueue.Packet)
	must(tp.t, p.Decode(tp.receive()[0]))
	return p
}

// answer sends the verdict on a packet.
func (tp *tape) answer(p *nfqueue.Packet, v nfqueue.Verdict) {
	tp.t.Helper()
	b, err := v.Append(nil, p)
	must(tp.t, err)
	tp.send(b)
}

// logged returns the packets of the next datagram.
func (tp *tape) logged() (packets []nflog.Packet) {
	tp.t.Helper()
	for _, m := range tp.receive() {
		if m.Type.Subsystem() != nfnl.SubsystemLog {
			continue // the end of a collection
		}
		var p nflog.Packet
		must(tp.t, p.Decode(m))
		packets = append(packets, p)
	}
	return packets
}

// print prints the file under a name made of the package, the kernel and the
// rule, if that is asked for.
func (tp *tape) print(pkg, rule string) {
	tp.t.Helper()
	if !*capture {
		return
	}
	var u unix.Utsname
	must(tp.t, unix.Uname(&u))
	version := strings.Split(unix.ByteSliceToString(u.Release[:]), ".")
	folder := fmt.Sprintf("linux-%s.%s-%s", version[0], version[1], runtime.GOARCH)
	fmt.Printf("capture: %s %s\n", path.Join(pkg, "testdata", "captured", folder, rule+".pcap"), base64.StdEncoding.EncodeToString(tp.file))
}

func TestCaptureQueue(t *testing.T) {
	for rule, play := range map[string]func(t *testing.T) *tape{
		"output-owner":   queueOwner,
		"prerouting":     queuePrerouting,
		"bridge-vlan":    queueBridge,
		"output-gso-cut": queueGSO,
		"conntrack-dnat": queueDNAT,
		"conntrack-echo": queueEcho,
		"conntrack-sctp": queueSCTP,
		"conntrack-syn":  queueSynProxy,
		"conntrack-icmp": queueICMP,
		"conntrack-tftp": queueTFTP,
		"conntrack-ftp":  queueFTP,
		"output-class":   queueClass,
		"output-label":   queueLabel,
	} {
		t.Run(rule, func(t *testing.T) {
			play(t).print("nfqueue", rule)
		})
	}
}

func queueOwner(t *testing.T) *tape {
	n := newNet(t)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Owner: true}.Bind())
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.SetMark(0xfeed), lab.Queue(7))
	c, _, _ := dialAs(t, n, ipv4.address())
	setSocket(t, c, unix.SO_PRIORITY, 6)
	send(t, c, "hello")
	if p := tp.accept(); !p.HasOwner || p.Mark != 0xfeed || !p.ChecksumPending || p.Priority != 6 && kernelSince(5, 18) {
		t.Errorf("%+v", p)
	}
	return tp
}

// setSocket sets an option of the level SOL_SOCKET.
func setSocket(t testing.TB, c any, option, value int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value) }))
	must(t, err)
}

// takeTime has the kernel of n note when packets arrive.
func takeTime(t testing.TB, n *lab.Net) {
	t.Helper()
	pc, err := n.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	setSocket(t, pc, unix.SO_TIMESTAMP, 1)
	// The switch may be thrown a little later, with no event to wait for: see
	// net_enable_timestamp.
}

func queuePrerouting(t *testing.T) *tape {
	a, b, addrA, addrB := wire(t, ipv6)
	takeTime(t, b)
	tp := newTape(t, b)
	tp.configure(nfqueue.Config{Queue: 7}.Bind())
	addRule(t, b, lab.IPv6, lab.Prerouting, lab.UDP(9999), lab.Queue(7))
	inject(t, a, addrB, udpPacket(t, addrA, addrB, "hello"))
	if p := tp.accept(); p.InDev == 0 || len(p.HardwareAddr) != 6 || !p.ChecksumUnverified {
		t.Errorf("%+v", p)
	}
	return tp
}

// bridged returns a namespace with a bridge between two others.
func bridged(t testing.TB) (a, n, b *lab.Net) {
	t.Helper()
	a, n, b = newNet(t), newNet(t), newNet(t)
	must(t, n.Bridge("br0"))
	must(t, n.Up("br0"))
	for port, far := range map[string]*lab.Net{"to-a": a, "to-b": b} {
		must(t, far.Veth("eth0", n, port))
		must(t, n.SetMaster(port, "br0"))
		must(t, n.Up(port))
		must(t, far.Up("eth0"))
	}
	return a, n, b
}

// tagged is a broadcast frame of VLAN 42 with priority 5.
func tagged(t testing.TB) []byte {
	t.Helper()
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x81, 0, 0xa0, 42, 0x08, 0}
	return append(frame, udpPacket(t, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), "hello")...)
}

func queueBridge(t *testing.T) *tape {
	a, n, _ := bridged(t)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7}.Bind())
	chain, err := n.Chain(lab.Bridge, lab.Forward, 0)
	must(t, err)
	if _, err = chain.Add(lab.Queue(7)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	await(t, "for the ports to forward", func() bool {
		sendFrame(t, a, "eth0", tagged(t))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(tp.fd), Events: unix.POLLIN}}, 100)
		return err == nil && n == 1
	})
	if p := tp.accept(); p.Family != nfnl.Bridge || p.VLAN.TCI != 0xa02a || len(p.LinkHeader) != 14 || p.PhysInDev == 0 || p.PhysOutDev == 0 {
		t.Errorf("%+v", p)
	}
	return tp
}

func queueGSO(t *testing.T) *tape {
	n := newNet(t)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, CopyRange: 64}.Bind())
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(7))
	_, c := udpPair(t, n, "udp", ipv4.address())
	raw, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, gsoSize) }))
	must(t, err)
	send(t, c, letters(gsoSegments*gsoSize))
	if p := tp.accept(); !p.GSO || !p.Truncated() || p.Len != 28+gsoSegments*gsoSize {
		t.Errorf("%+v", p)
	}
	return tp
}

// queueDNAT captures a TCP connection that has everything.
func queueDNAT(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	trackAll(t, n)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	ftp, err := n.Helper(lab.IPv4, "ftp", unix.IPPROTO_TCP)
	must(t, err)
	var labels attr.ConntrackLabels
	labels.Set(1)
	labels.Set(127)
	tcp := lab.L4(unix.IPPROTO_TCP)
	addRules(t, n, lab.IPv4, lab.Output, -150, []lab.Term{tcp, lab.Tracked(lab.New), ftp, lab.SetCTMark(42), lab.SetCTLabels(labels)})
	nat, err := n.NAT(lab.IPv4, lab.Output)
	must(t, err)
	_, err = nat.Add(lab.TCP(9999), lab.DNAT(netip.MustParseAddrPort("127.0.0.1:8888")))
	must(t, err)
	addRule(t, n, lab.IPv4, lab.Output, tcp, lab.Queue(7))
	l, err := n.Listen("tcp", "127.0.0.1:8888")
	must(t, err)
	defer l.Close()
	dialled := make(chan error, 1)
	go func() {
		c, err := n.Dial("tcp", ipv4.address())
		if err == nil {
			c.Close()
		}
		dialled <- err
	}()
	for _, state := range []attr.TCPState{attr.TCPSynSent, attr.TCPSynRecv, attr.TCPEstablished} {
		p := tp.accept()
		c, err := p.Conntrack()
		if err != nil || c.TCP.State != state || !c.DestinationNAT() || c.Mark != 42 || c.Labels != labels || string(c.Helper) != "ftp" {
			t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
		}
	}
	must(t, next(t, dialled))
	return tp
}

// trackAll has n note of connections what it can.
func trackAll(t testing.TB, n *lab.Net) {
	t.Helper()
	must(t, n.Sysctl("net/netfilter/nf_conntrack_acct", "1"))
	must(t, n.Sysctl("net/netfilter/nf_conntrack_timestamp", "1"))
}

// queueICMP captures a datagram to a closed port, and the answer.
func queueICMP(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	trackAll(t, n)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	addRules(t, n, lab.IPv6, lab.Output, -300, []lab.Term{lab.SetZone(9)})
	addRule(t, n, lab.IPv6, lab.Output, lab.Queue(7))
	c, err := n.Dial("udp", ipv6.address())
	must(t, err)
	defer c.Close()
	send(t, c, "anybody there?")
	for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoRelatedReply} {
		p := tp.accept()
		c, err := p.Conntrack()
		if err != nil || p.ConntrackInfo != info || c.Zone != 9 {
			t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
		}
	}
	return tp
}

// queueEcho captures an echo and its answer, over both versions of IP.
func queueEcho(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	for _, e := range echoes {
		addRule(t, n, e.v.family, lab.Output, lab.L4(e.protocol), lab.Tracked(^lab.Untracked), lab.Queue(7))
		e.send(t, n)
		for range 2 {
			c, err := tp.accept().Conntrack()
			if err != nil || c.Original.ICMPType != e.request || c.Reply.ICMPType != e.reply || c.Original.ICMPID != 0x1234 {
				t.Errorf("%v: %+v", err, c)
			}
		}
	}
	return tp
}

// queueSCTP captures the first packets of SCTP, and of DCCP where the kernel
// still tracks it.
func queueSCTP(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	for protocol, packet := range map[byte]string{unix.IPPROTO_SCTP: sctpBegin, unix.IPPROTO_DCCP: dccpBegin} {
		addRule(t, n, lab.IPv4, lab.Output, lab.L4(protocol), lab.Tracked(^lab.Untracked), lab.Queue(7))
		raw, err := n.Dial(fmt.Sprintf("ip4:%d", protocol), ipv4.host)
		must(t, err)
		defer raw.Close()
		send(t, raw, packet)
		wantHandshake(t, tp.accept())
	}
	return tp
}

// queueSynProxy captures a connection whose handshake the kernel has made in the
// server's stead.
func queueSynProxy(t *testing.T) *tape {
	client, server, _, addr := wire(t, ipv4)
	needConntrack(t, server, nfqueue.Config{Conntrack: true})
	tp := newTape(t, server)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	behindSynProxy(t, server, 7)
	l, err := server.Listen("tcp", netip.AddrPortFrom(addr, 9999).String())
	must(t, err)
	defer l.Close()
	c, err := client.Dial("tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
		p := tp.accept()
		c, err := p.Conntrack()
		if err != nil || p.ConntrackInfo != info || (c.SynProxy.ISN != 0) != (info != attr.InfoNew) {
			t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
		}
	}
	return tp
}

// queueTFTP captures a request and an answer, which is a connection that the
// kernel expected.
func queueTFTP(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	helper := tftp(t, n)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	addRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Queue(7)})
	_, c := udpPair(t, n, "udp", ipv4.address())
	send(t, c, "\x00\x01file\x00octet\x00") // read request
	request := tp.accept()
	data, err := n.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer data.Close()
	_, err = data.WriteTo([]byte("\x00\x03\x00\x01contents"), c.LocalAddr())
	must(t, err)
	first, err := request.Conntrack()
	must(t, err)
	answer, err := tp.accept().Conntrack()
	if err != nil || answer.Master != first.Original {
		t.Errorf("%v: master %v, want %v", err, answer.Master, first.Original)
	}
	return tp
}

// queueFTP captures a connection whose sequence numbers the kernel adjusts, for
// a verdict has lengthened its data.
func queueFTP(t *testing.T) *tape {
	const extra = "more "
	a, b, _, addrB := wire(t, ipv4)
	needConntrack(t, a, nfqueue.Config{Conntrack: true})
	tp := newTape(t, a)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true}.Bind())
	queueBehindNAT(t, a, addrB, 7)
	l, err := b.Listen("tcp", netip.AddrPortFrom(addrB, 9999).String())
	must(t, err)
	defer l.Close()
	dialled := make(chan net.Conn, 1)
	go func() {
		defer close(dialled)
		if c, err := a.Dial("tcp", netip.AddrPortFrom(addrB, 9998).String()); err == nil {
			dialled <- c
		}
	}()
	for range 2 { // SYN and ACK
		tp.accept()
	}
	c := next(t, dialled)
	defer c.Close()
	send(t, c, "hello")
	p := tp.queued()
	head := p.Payload[:len(p.Payload)-len("hello")]
	tp.answer(p, nfqueue.Accept().WithPayload([]byte(string(head)+extra+"hello")).WithConntrackMark(1, 0xffffffff))
	send(t, c, "goodbye")
	conn, err := tp.accept().Conntrack()
	if err != nil || conn.OriginalSeqAdj.After != int32(len(extra)) {
		t.Errorf("%v: adjusted by %+v", err, conn.OriginalSeqAdj)
	}
	return tp
}

// queueClass captures a packet of a socket in a control group.
func queueClass(t *testing.T) *tape {
	const class = 0x00100001
	n := newNet(t)
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7}.Bind())
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(7))
	c, err := dialInClass(n, class)
	if errors.Is(err, errors.ErrUnsupported) || !kernelSince(6, 4) {
		t.Skipf("no classes in packets here: %v", err)
	}
	must(t, err)
	defer c.Close()
	send(t, c, "hello")
	if p := tp.accept(); p.ClassID != class {
		t.Errorf("%+v", p)
	}
	return tp
}

// queueLabel captures a packet with a label of a security module, in a
// connection that has it too.
func queueLabel(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	mark, ok := secMark(t, n)
	if !ok {
		t.Skip("nothing has labels here")
	}
	tp := newTape(t, n)
	tp.configure(nfqueue.Config{Queue: 7, Conntrack: true, SecurityContext: true}.Bind())
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), mark, lab.SetCTSecMark(), lab.Queue(7))
	_, c := udpPair(t, n, "udp", ipv4.address())
	send(t, c, "hello")
	p := tp.accept()
	conn, err := p.Conntrack()
	if err != nil || !bytes.HasPrefix(p.SecurityContext, []byte(label)) || string(conn.SecurityContext) != label {
		t.Errorf("%v: %q, %q", err, p.SecurityContext, conn.SecurityContext)
	}
	return tp
}

func TestCaptureLog(t *testing.T) {
	for rule, play := range map[string]func(t *testing.T) *tape{
		"output-owner": logOwner,
		"prerouting":   logPrerouting,
		"ingress-vlan": logIngress,
		"conntrack":    logConntrack,
		"bridge-vlan":  logBridge,
		"arp-output":   logARP,
		"egress":       logEgress,
	} {
		t.Run(rule, func(t *testing.T) {
			play(t).print("nflog", rule)
		})
	}
}

// logOwner captures packets that the kernel has collected.
func logOwner(t *testing.T) *tape {
	n := newNet(t)
	tp := newTape(t, n)
	tp.configure(nflog.Config{Threshold: 3, FlushTimeout: time.Hour, GlobalSequence: true}.Bind(5))
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.SetMark(0xfeed), lab.Log(5, "sent: ", 0, 0))
	pc, err := n.ListenPacket("udp", ipv4.address())
	must(t, err)
	defer pc.Close()
	c, _, _ := dialAs(t, n, ipv4.address())
	send(t, c, "one", "two", "three")
	for i, p := range tp.logged() {
		if !p.HasOwner || p.Mark != 0xfeed || p.Seq != uint32(i) || p.GlobalSeq != uint32(i+1) || string(p.Prefix) != "sent: " {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logPrerouting(t *testing.T) *tape {
	a, b, addrA, addrB := wire(t, ipv6)
	takeTime(t, b)
	tp := newTape(t, b)
	tp.configure(nflog.Config{Threshold: 1}.Bind(5))
	addRule(t, b, lab.IPv6, lab.Prerouting, lab.UDP(9999), lab.Log(5, "", 0, 0))
	inject(t, a, addrB, udpPacket(t, addrA, addrB, "hello"))
	for _, p := range tp.logged() {
		if p.InDev == 0 || len(p.HardwareAddr) != 6 || len(p.HardwareHeader) != 14 || p.HardwareType != 1 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logIngress(t *testing.T) *tape {
	a, b, _, _ := wire(t, ipv4)
	tp := newTape(t, b)
	tp.configure(nflog.Config{Threshold: 1}.Bind(5))
	chain, err := b.DeviceChain("eth0", lab.Ingress, 0)
	must(t, err)
	_, err = chain.Add(lab.Log(5, "frame", 0, 0))
	must(t, err)
	sendFrame(t, a, "eth0", tagged(t))
	for _, p := range tp.logged() {
		if p.Family != nfnl.NetDev || p.VLAN.TCI != 0xa02a || len(p.LinkHeader) != 14 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logBridge(t *testing.T) *tape {
	a, n, _ := bridged(t)
	tp := newTape(t, n)
	tp.configure(nflog.Config{Threshold: 1}.Bind(5))
	addRule(t, n, lab.Bridge, lab.Forward, lab.L4(unix.IPPROTO_UDP), lab.Log(5, "crossed", 0, 0))
	sendFrame(t, a, "eth0", tagged(t))
	for _, p := range tp.logged() {
		if p.Family != nfnl.Bridge || p.VLAN.TCI != 0xa02a || len(p.LinkHeader) != 14 || port(p.PhysOutDev, p.OutDev) == 0 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logARP(t *testing.T) *tape {
	a, _, _, addrB := wire(t, ipv4)
	tp := newTape(t, a)
	tp.configure(nflog.Config{Threshold: 1}.Bind(5))
	addRule(t, a, lab.ARP, lab.Output, lab.Log(5, "asked", 0, 0))
	c, err := a.Dial("udp", netip.AddrPortFrom(addrB, 9999).String())
	must(t, err)
	defer c.Close()
	send(t, c, "hello")
	for _, p := range tp.logged() {
		if p.Family != nfnl.ARP || p.OutDev == 0 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

func logEgress(t *testing.T) *tape {
	a, _, _, _ := wire(t, ipv4)
	chain, err := a.DeviceChain("eth0", lab.Egress, 0)
	if err != nil && !kernelSince(5, 16) {
		t.Skip(err)
	}
	must(t, err)
	tp := newTape(t, a)
	tp.configure(nflog.Config{Threshold: 1}.Bind(5))
	_, err = chain.Add(lab.Log(5, "frame", 0, 0))
	must(t, err)
	sendFrame(t, a, "eth0", tagged(t))
	for _, p := range tp.logged() {
		if p.Family != nfnl.NetDev || p.OutDev == 0 || len(p.LinkHeader) == 0 {
			t.Errorf("%+v", p)
		}
	}
	return tp
}

// logConntrack captures a question and its answer.
func logConntrack(t *testing.T) *tape {
	n := newNet(t)
	needConntrack(t, n, nfqueue.Config{Conntrack: true})
	trackAll(t, n)
	tp := newTape(t, n)
	tp.configure(nflog.Config{Threshold: 1, Conntrack: true}.Bind(5))
	addRule(t, n, lab.IPv4, lab.Output, lab.Tracked(^lab.Untracked), lab.SetCTMark(42), lab.Log(5, "", 0, 0))
	pc, c := udpPair(t, n, "udp", ipv4.address())
	send(t, c, "question")
	wantReceived(t, pc, "question")
	_, err := pc.WriteTo([]byte("answer"), c.LocalAddr().(*net.UDPAddr))
	must(t, err)
	for _, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply} {
		for _, p := range tp.logged() {
			c, err := p.Conntrack()
			if err != nil || p.ConntrackInfo != info || c.Mark != 42 {
				t.Errorf("%v, %v: %+v", p.ConntrackInfo, err, c)
			}
		}
	}
	return tp
}
