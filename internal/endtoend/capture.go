//go:build linux

package endtoend

import (
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// With -capture the tests called TestCapture... print what they have captured as files
// for the folders testdata/captured of nfqueue and nflog: a line each, "capture:",
// the file's name and its contents in base64. From a virtual machine:
//
//	.ci/vm/run amd64-6.12 -v -run TestCapture ./internal/endtoend/... -capture | sed -n 's/^ *capture: //p' |
//		while read -r file contents; do mkdir -p "${file%/*}"; base64 -d <<<"$contents" >"$file"; done
//
// The tests there want a text beside each, which go test -run Captured -update
// writes, for s390x with GOARCH=s390x and -exec qemu-s390x.
var capture = flag.Bool("capture", false, "print captured messages as files")

// A Tape is a netfilter socket that keeps what passes it, in the format of pcap
// with the link type NETLINK.
type Tape struct {
	t    testing.TB
	FD   int
	file []byte
}

// NewTape opens a socket in n.
func NewTape(t testing.TB, n *lab.Net) *Tape {
	t.Helper()
	tp := &Tape{t: t}
	testkit.Must(t, n.Do(func() (err error) {
		tp.FD, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	}))
	t.Cleanup(func() { unix.Close(tp.FD) })
	timeout := unix.NsecToTimeval(testkit.Patience.Nanoseconds())
	testkit.Must(t, unix.SetsockoptTimeval(tp.FD, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))

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
func (tp *Tape) keep(toKernel bool, datagram []byte) {
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

func (tp *Tape) send(datagram []byte) {
	tp.t.Helper()
	tp.keep(true, datagram)
	testkit.Must(tp.t, unix.Sendto(tp.FD, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// receive returns the messages of the next datagram.
func (tp *Tape) receive() (messages []nfnl.Message) {
	tp.t.Helper()
	b := make([]byte, 1<<18)
	n, _, err := unix.Recvfrom(tp.FD, b, 0)
	for err == unix.EINTR { // with a timeout the kernel does not begin again by itself
		n, _, err = unix.Recvfrom(tp.FD, b, 0)
	}
	testkit.Must(tp.t, err)
	tp.keep(false, b[:n])
	for b = b[:n]; len(b) > 0; {
		var m nfnl.Message
		m, b, err = nfnl.Next(b)
		testkit.Must(tp.t, err)
		messages = append(messages, m)
	}
	return messages
}

// Configure sends a request and waits for its answer.
func (tp *Tape) Configure(m nfnl.Message, err error) {
	tp.t.Helper()
	testkit.Must(tp.t, err)
	m.Flags, m.Seq = engine.FlagRequest|engine.FlagAck, 1
	tp.send(m.Append(nil))
	r, ok := tp.receive()[0].Reply()
	if !ok || r.Errno != 0 {
		tp.t.Fatalf("answer %+v", r)
	}
}

// Accept returns the next packet after accepting it.
func (tp *Tape) Accept() *nfqueue.Packet {
	tp.t.Helper()
	p := tp.Queued()
	tp.Answer(p, nfqueue.Accept())
	return p
}

// Queued returns the next packet.
func (tp *Tape) Queued() *nfqueue.Packet {
	tp.t.Helper()
	p := new(nfqueue.Packet)
	testkit.Must(tp.t, p.Decode(tp.receive()[0]))
	return p
}

// Answer sends the verdict on a packet.
func (tp *Tape) Answer(p *nfqueue.Packet, v nfqueue.Verdict) {
	tp.t.Helper()
	b, err := v.Append(nil, p)
	testkit.Must(tp.t, err)
	tp.send(b)
}

// Logged returns the packets of the next datagram.
func (tp *Tape) Logged() (packets []nflog.Packet) {
	tp.t.Helper()
	for _, m := range tp.receive() {
		if m.Type>>8 != engine.SubsystemLog {
			continue // the end of a collection
		}
		var p nflog.Packet
		testkit.Must(tp.t, p.Decode(m))
		packets = append(packets, p)
	}
	return packets
}

// print prints the file under a name made of the package, the kernel and the
// rule, if that is asked for.
func (tp *Tape) print(pkg, rule string) {
	tp.t.Helper()
	if !*capture {
		return
	}
	var u unix.Utsname
	testkit.Must(tp.t, unix.Uname(&u))
	version := strings.Split(unix.ByteSliceToString(u.Release[:]), ".")
	folder := fmt.Sprintf("linux-%s.%s-%s", version[0], version[1], runtime.GOARCH)
	fmt.Printf("capture: %s %s\n", path.Join(pkg, "testdata", "captured", folder, rule+".pcap"), base64.StdEncoding.EncodeToString(tp.file))
}

// CaptureAll captures the traffic of each rule, as a subtest.
func CaptureAll(t *testing.T, pkg string, rules map[string]func(t *testing.T) *Tape) {
	for rule, play := range rules {
		t.Run(rule, func(t *testing.T) { play(t).print(pkg, rule) })
	}
}
