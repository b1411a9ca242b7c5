//go:build linux

package documents

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A router is a namespace between two others, with packets of its own too.
type router struct {
	*lab.Net
	left, right *lab.Net
}

var (
	leftAddr  = netip.MustParseAddr("192.0.2.1")
	rightAddr = netip.MustParseAddr("198.51.100.1")
	loopback  = netip.MustParseAddr("127.0.0.1")
)

func newRouter(t *testing.T) *router {
	t.Helper()
	r := &router{newNet(t), newNet(t), newNet(t)}
	testkit.Must(t, r.Forwarding(true))
	for _, side := range []struct {
		n             *lab.Net
		device        string
		ours, theirs  string
		route, router string
	}{
		{r.left, "left", "192.0.2.2/24", "192.0.2.1/24", "198.51.100.0/24", "192.0.2.2"},
		{r.right, "right", "198.51.100.2/24", "198.51.100.1/24", "192.0.2.0/24", "198.51.100.2"},
	} {
		testkit.Must(t, r.Veth(side.device, side.n, "eth0"))
		testkit.Must(t, r.Up(side.device))
		testkit.Must(t, side.n.Up("eth0"))
		testkit.Must(t, r.AddAddr(side.device, netip.MustParsePrefix(side.ours)))
		testkit.Must(t, side.n.AddAddr("eth0", netip.MustParsePrefix(side.theirs)))
		testkit.Must(t, side.n.AddRoute(netip.MustParsePrefix(side.route), netip.MustParseAddr(side.router)))
	}
	r.markConnections(t)
	return r
}

// markConnections gives the connection of a packet the packet's mark, before rules
// look for it.
func (r *router) markConnections(t *testing.T) {
	t.Helper()
	const afterTracking = -199
	c, err := r.Chain(lab.IPv4, lab.Output, afterTracking)
	testkit.Must(t, err)
	for _, mark := range []uint32{1, 2} {
		_, err := c.Add(lab.Mark(mark), lab.SetCTMark(mark))
		testkit.Must(t, err)
	}
}

func newNet(t *testing.T) *lab.Net {
	t.Helper()
	n, err := lab.NewNet()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// command runs a program in the namespace and returns what it printed.
func (r *router) command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	testkit.Must(t, r.Do(cmd.Start))
	err := cmd.Wait()
	if strings.Contains(out.String(), "ermission denied") {
		t.Skipf("%s works for root only: it was run by another user: %s", args[0], out.String())
	}
	if err != nil {
		t.Fatalf("%v: %v: %s\n%s", args, err, out.String(), stdin)
	}
	return out.String()
}

// traffic sends packets of many kinds from the router to itself, and through it.
func (r *router) traffic(t *testing.T) {
	t.Helper()
	for _, mark := range []int{0, 1, 2, 0x10, 0x100, 0x101} {
		r.inject(t, r.Net, mark, packets(t, loopback, loopback))
	}
	r.inject(t, r.left, 0, packets(t, leftAddr, rightAddr))
}

// packets returns packets of IPv4 that rules tell apart.
func packets(t *testing.T, src, dst netip.Addr) (all [][]byte) {
	t.Helper()
	const fin, syn, rst, ack, ece, cwr = 0x01, 0x02, 0x04, 0x10, 0x40, 0x80
	for _, ports := range [][2]uint16{{40000, 53}, {53, 40000}, {40000, 80}, {40000, 443}, {443, 40000}, {40000, 8000}, {40000, 9999}, {22, 22}} {
		l4 := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, ports[0]), ports[1])
		all = append(all, packet(t, src, dst, unix.IPPROTO_UDP, append(l4, 0, 8, 0, 0)))
		for _, flags := range []byte{0, syn, syn | ack, ack, fin | ack, rst, rst | ack, syn | ece | cwr, syn | fin, syn | rst, syn | 0x08} {
			all = append(all, packet(t, src, dst, unix.IPPROTO_TCP, append(l4[:4:4], 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 255, 255, 0, 0, 0, 0)))
		}
	}
	return append(all, packet(t, src, dst, unix.IPPROTO_ICMP, []byte{8, 0, 0, 0, 0, 1, 0, 1}))
}

func packet(t *testing.T, src, dst netip.Addr, protocol byte, l4 []byte) []byte {
	t.Helper()
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	b = append(b, l4...)
	testkit.Must(t, nfqueue.Finish(b))
	return b
}

// inject sends packets from n with a mark.
func (r *router) inject(t *testing.T, n *lab.Net, mark int, packets [][]byte) {
	t.Helper()
	testkit.Must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
			return err
		}
		for _, p := range packets {
			if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])}); err != nil {
				return err
			}
		}
		return nil
	}))
}
