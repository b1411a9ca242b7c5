package engine

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// dialTest opens a socket to the real kernel.
func dialTest(t *testing.T, cfg Config) *Conn {
	t.Helper()
	lab.Require(t)
	c, err := Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// fd returns the Conn's descriptor.
func fd(t *testing.T, c *Conn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDialSetsTheOptions(t *testing.T) {
	fd := fd(t, dialTest(t, Config{}))
	for _, o := range []struct {
		name string
		opt  int
	}{
		{"NETLINK_NO_ENOBUFS", unix.NETLINK_NO_ENOBUFS},
		{"NETLINK_CAP_ACK", unix.NETLINK_CAP_ACK},
		{"NETLINK_EXT_ACK", unix.NETLINK_EXT_ACK},
	} {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_NETLINK, o.opt); err != nil || v != 1 {
			t.Errorf("%s is %d, %v", o.name, v, err)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: programs started would inherit the socket", flags, err)
	}
	if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || v != unix.NETLINK_NETFILTER {
		t.Errorf("protocol %d, %v", v, err)
	}
}

func TestPortIDIsTheSocketsAddress(t *testing.T) {
	c := dialTest(t, Config{})
	sa, err := unix.Getsockname(fd(t, c))
	if err != nil {
		t.Fatal(err)
	}
	if got := sa.(*unix.SockaddrNetlink).Pid; got != c.PortID() || got == 0 {
		t.Errorf("PortID is %d, the address %d", c.PortID(), got)
	}
}

func TestReadBufferIsWhatWasGranted(t *testing.T) {
	const ask = 512 << 20 // more than rmem_max, anywhere
	before := dialTest(t, Config{}).ReadBuffer()
	c := dialTest(t, Config{ReadBuffer: ask})
	v, err := unix.GetsockoptInt(fd(t, c), unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil || c.ReadBuffer() != v || v <= before {
		t.Errorf("ReadBuffer says %d, the kernel %d, %v; without asking it was %d", c.ReadBuffer(), v, err, before)
	}
	if got := dialTest(t, Config{ReadBuffer: maxReadBuffer}).ReadBuffer(); got != 2*maxReadBuffer && got != mostReadBuffer(t) {
		t.Errorf("of the most that can be asked for %d is granted", got)
	}
	if got := dialTest(t, Config{ReadBuffer: 1}).ReadBuffer(); got < 1024 {
		t.Errorf("of the least that can be asked for %d is granted", got)
	}
	limit := mostReadBuffer(t)
	withoutNetAdmin(t, func() {
		c, err := Dial(Config{ReadBuffer: ask})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if got := c.ReadBuffer(); got != limit {
			t.Errorf("an ordinary user was granted %d, any socket gets up to %d", got, limit)
		}
	})
}

// mostReadBuffer returns what SO_RCVBUF grants at most, twice rmem_max. Many
// kernels show that file to the first network namespace only.
func mostReadBuffer(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<30-1); err != nil {
		t.Fatal(err)
	}
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		t.Fatal(err)
	}
	return granted
}

func TestDialRefusesWhatCannotBe(t *testing.T) {
	for _, cfg := range []Config{{NetNS: -1}, {ReadBuffer: -1}, {ReadBuffer: maxReadBuffer + 1}, {NetNS: 1 << 20}} {
		c, err := Dial(cfg)
		if err == nil {
			c.Close()
			t.Errorf("%+v was taken", cfg)
		} else if !strings.HasPrefix(err.Error(), "nfnl: ") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestRefusalsOfTheRealKernel(t *testing.T) {
	c := dialTest(t, Config{})
	params := wire(uint16(9), uint16(2), be32(0xffff), uint8(2), []byte{0, 0, 0})
	short := wire(uint16(5), uint16(2), uint8(2), []byte{0, 0, 0})
	for _, tt := range []struct {
		name  string
		m     Message
		match []error
		text  string
	}{
		{"parameters of an absent queue", Message{Type: queueConfig, Resource: 77, Attrs: params},
			[]error{syscall.ENODEV}, ""},
		{"a message that only the kernel sends", Message{Type: queuePacket},
			[]error{errors.ErrUnsupported, syscall.Errno(524)}, "ENOTSUPP"},
		{"no such subsystem", Message{Type: 0x0f00}, []error{syscall.EINVAL}, ""},
		{"an attribute that is too short", Message{Type: queueConfig, Resource: 77, Attrs: short},
			[]error{syscall.ERANGE}, "Attribute failed policy validation, at byte 20"},
		{"nothing to do", Message{Type: typeNoop}, nil, ""},
	} {
		err := c.Request(tt.m)
		if len(tt.match) == 0 && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, want := range tt.match {
			if !errors.Is(err, want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: %v, want %v, %q", tt.name, err, want, tt.text)
			}
		}
	}
}

func TestDialInAnotherNamespace(t *testing.T) {
	lab.Require(t)
	ns, err := lab.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	// A queue has one owner in a namespace, and EPERM is for the others.
	for _, tt := range []struct {
		name string
		cfg  Config
		want error
	}{
		{"here", Config{}, nil},
		{"there", Config{NetNS: ns.FD()}, nil},
		{"here again", Config{}, syscall.EPERM},
		{"there again", Config{NetNS: ns.FD()}, syscall.EPERM},
	} {
		c := dialTest(t, tt.cfg)
		if err := c.Request(config(8)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestWaitOnTheRealSocket does what the fake kernel's tests do.
func TestWaitOnTheRealSocket(t *testing.T) {
	k := &kernel{T: t, conn: dialTest(t, Config{})}
	b := new(seen).batch(4)
	received := testkit.Background(func() error { return k.conn.Receive(b) })
	k.settle()
	k.conn.SetReadDeadline(time.Now())
	if err := testkit.Next(k, received); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	k.conn.SetReadDeadline(time.Time{})
	received = testkit.Background(func() error { return k.conn.Receive(b) })
	k.settle()
	k.conn.Close()
	if err := testkit.Next(t, received); err == nil {
		t.Error("closed, and no error")
	}
	wantClosed(k)
}

func TestLongestMessageOfTheKernelFitsARequest(t *testing.T) {
	// Without NETLINK_CAP_ACK a refusal brings back what was refused.
	c := dialTest(t, Config{ReadBuffer: 1 << 20})
	if err := unix.SetsockoptInt(fd(t, c), unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 0); err != nil {
		t.Fatal(err)
	}
	big := Message{Type: queueVerdict, Resource: 77, Attrs: wire(uint16(60004), uint16(10), bytes.Repeat([]byte{0xaa}, 60000))}
	if err := c.Request(big); !errors.Is(err, syscall.ENODEV) {
		t.Error(err)
	}
}
