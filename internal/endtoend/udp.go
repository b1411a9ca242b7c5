//go:build linux

package endtoend

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// UDPPair returns a receiver at address in n, and a sender connected to it.
func UDPPair(t testing.TB, n *lab.Net, network, address string) (net.PacketConn, net.Conn) {
	t.Helper()
	return datagramPair(t, n, n, network, address)
}

// UDPAcross returns a receiver at address in b, and a sender in a.
func UDPAcross(t testing.TB, a, b *lab.Net, address string) (net.PacketConn, net.Conn) {
	t.Helper()
	return datagramPair(t, a, b, "udp", address)
}

func datagramPair(t testing.TB, from, to *lab.Net, network, address string) (net.PacketConn, net.Conn) {
	t.Helper()
	pc, err := to.ListenPacket(network, address)
	testkit.Must(t, err)
	t.Cleanup(func() { pc.Close() })
	c, err := from.Dial(network, address)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return pc, c
}

// Receive returns the next datagram that arrives at pc.
func Receive(t testing.TB, pc net.PacketConn) string {
	t.Helper()
	b := make([]byte, 1<<16)
	testkit.Must(t, pc.SetReadDeadline(time.Now().Add(testkit.Patience)))
	n, _, err := pc.ReadFrom(b)
	testkit.Must(t, err)
	return string(b[:n])
}

// WantReceived fails the test unless those are the next datagrams at pc.
func WantReceived(t testing.TB, pc net.PacketConn, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := Receive(t, pc); got != w {
			t.Fatalf("received %.40q of %d bytes, want %.40q of %d", got, len(got), w, len(w))
		}
	}
}

// Send sends datagrams through c.
func Send(t testing.TB, c net.Conn, datagrams ...string) {
	t.Helper()
	for _, d := range datagrams {
		_, err := c.Write([]byte(d))
		testkit.Must(t, err)
	}
}

// SendNumbers sends n datagrams, each with a number in decimal: first, first+1 and
// so on.
func SendNumbers(t testing.TB, c net.Conn, first, n int) {
	t.Helper()
	for i := range n {
		Send(t, c, fmt.Sprint(first+i))
	}
}

// Flood sends datagrams as fast as it can until stop is called, or the test ends.
func Flood(t testing.TB, c net.Conn) (stop func()) {
	t.Helper()
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !done.Load() {
			// The error is EPERM if the packet was dropped at once.
			_, _ = c.Write([]byte("flood"))
		}
	}()
	stop = func() {
		done.Store(true)
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// Letters returns n bytes of text.
func Letters(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz"
	return strings.Repeat(alphabet, n/len(alphabet)+1)[:n]
}

// DialAs returns a connection whose socket belongs to a user and a group; where
// the user namespace has none but root, to root. It returns their numbers.
func DialAs(t testing.TB, n *lab.Net, address string) (c net.Conn, uid, gid int) {
	t.Helper()
	testkit.Must(t, n.Do(func() (err error) {
		for _, set := range []func(int) error{unix.Setfsgid, unix.Setfsuid} {
			testkit.Must(t, set(1234))
			defer set(0)
		}
		if uid, err = unix.SetfsuidRetUid(-1); err != nil {
			return err
		}
		if gid, err = unix.SetfsgidRetGid(-1); err != nil {
			return err
		}
		c, err = net.Dial("udp", address)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c, uid, gid
}

// SetSocketOption sets an option of the level SOL_SOCKET.
func SetSocketOption(t testing.TB, c any, option, value int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value) }))
	testkit.Must(t, err)
}

// TakeReceiptTimes makes the kernel note when packets arrive in n.
func TakeReceiptTimes(t testing.TB, n *lab.Net) {
	t.Helper()
	pc, err := n.ListenPacket("udp", "127.0.0.1:0")
	testkit.Must(t, err)
	t.Cleanup(func() { pc.Close() })
	SetSocketOption(t, pc, unix.SO_TIMESTAMP, 1)
	// It may begin a little later, with no event to wait for: see
	// net_enable_timestamp.
}

// CountArriving counts the datagrams that arrive at pc, until it is closed.
func CountArriving(pc net.PacketConn) *atomic.Int64 {
	n := new(atomic.Int64)
	go func() {
		b := make([]byte, 64)
		for {
			if _, _, err := pc.ReadFrom(b); err != nil {
				return
			}
			n.Add(1)
		}
	}()
	return n
}

// DialMarked returns a connection whose packets carry a mark (SO_MARK).
func DialMarked(n *lab.Net, address string, mark int) (c net.Conn, err error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }); e != nil {
			return e
		}
		return err
	}}
	err = n.Do(func() error {
		c, err = d.DialContext(context.Background(), "udp", address)
		return err
	})
	return c, err
}
