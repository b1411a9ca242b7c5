//go:build linux

package engine

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// netlinkFile opens a netlink socket.
func netlinkFile(t *testing.T, protocol int) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	testkit.Must(t, err)
	f := os.NewFile(uintptr(fd), "socket from elsewhere")
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFileConnIsLikeAnyOther(t *testing.T) {
	lab.Require(t)
	c, err := FileConn(netlinkFile(t, unix.NETLINK_NETFILTER))
	testkit.Must(t, err)
	defer c.Close()
	n := fd(t, c)
	for _, opt := range []int{unix.NETLINK_NO_ENOBUFS, unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK} {
		if v, err := unix.GetsockoptInt(n, unix.SOL_NETLINK, opt); err != nil || v != 1 {
			t.Errorf("option %d is %d, %v", opt, v, err)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: programs started would inherit the socket", flags, err)
	}
	sa, err := unix.Getsockname(n)
	testkit.Must(t, err)
	if got := sa.(*unix.SockaddrNetlink).Pid; got != c.PortID() || got == 0 {
		t.Errorf("PortID is %d, the address %d", c.PortID(), got)
	}
	if c.ReadBuffer() == 0 {
		t.Error("no receive buffer")
	}
	testkit.Must(t, c.Request(config(9)))

	// It waits as others do.
	k := &kernel{T: t, conn: c}
	received := testkit.Background(func() error { return c.Receive(new(seen).batch(1)) })
	k.settle()
	c.Close()
	if err := testkit.Next(t, received); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// The socket is the caller's as much as the Conn's: what is bound to it is given
// back when both are closed.
func TestFileConnIsACopy(t *testing.T) {
	lab.Require(t)
	f := netlinkFile(t, unix.NETLINK_NETFILTER)
	other := dialTest(t, Config{})
	taken := func() bool {
		err := other.Request(config(9))
		if err != nil && !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		return err != nil
	}
	c, err := FileConn(f)
	testkit.Must(t, err)
	testkit.Must(t, c.Request(config(9)))
	testkit.Must(t, c.Close())
	if !taken() {
		t.Error("given back while the caller has the socket")
	}
	c, err = FileConn(f)
	testkit.Must(t, err)
	testkit.Must(t, f.Close())
	if err := c.Request(config(9)); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("it does not know that the queue is its own: %v", err)
	}
	testkit.Must(t, c.Close())
	if taken() {
		t.Error("not given back")
	}
}

func TestFileConnOfSomethingElse(t *testing.T) {
	lab.Require(t)
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	testkit.Must(t, err)
	defer plain.Close()
	r, w, err := os.Pipe()
	testkit.Must(t, err)
	defer r.Close()
	defer w.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer udp.Close()
	socket, err := udp.(*net.UDPConn).File()
	testkit.Must(t, err)
	defer socket.Close()
	closed, err := os.Open(os.DevNull)
	testkit.Must(t, err)
	closed.Close()
	open := openFiles(t)
	for name, f := range map[string]*os.File{
		"a file": plain, "a pipe": r, "a UDP socket": socket, "a closed file": closed,
		"a route socket": netlinkFile(t, unix.NETLINK_ROUTE),
	} {
		c, err := FileConn(f)
		if err == nil {
			c.Close()
			t.Errorf("%s was taken", name)
		} else if !strings.HasPrefix(err.Error(), "nfnl: use ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FileConn(nil); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("no file at all: %v", err)
	}
	if _, err := plain.WriteString("still open"); err != nil {
		t.Error(err)
	}
	if n := openFiles(t); n != open+1 { // the route socket's
		t.Errorf("%d descriptors are open, %d were", n, open)
	}
}

// openFiles returns how many descriptors are open.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	testkit.Must(t, err)
	return len(all)
}
