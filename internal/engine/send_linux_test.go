package engine

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// readable reports whether who polls sees something to read.
func (k *kernel) readable() (yes bool) {
	k.Helper()
	if m, ok := k.counts.transport.(*memory); ok {
		return m.readable()
	}
	err := k.counts.transport.(interface{ control(func(int) error) error }).control(func(fd int) error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		yes = n > 0
		return err
	})
	if err != nil {
		k.Fatal(err)
	}
	return yes
}

// A kernel that is short of memory is asked again: a verdict given up would leave
// its packet waiting for ever.
func TestSendIsRepeatedWhileTheKernelHasNoMemory(t *testing.T) {
	s := dialTest(t, Config{}).t.(*socket)
	for _, errno := range []syscall.Errno{unix.ENOBUFS, unix.ENOMEM} {
		calls := 0
		call := newSendCall()
		call.now = func(uintptr) {
			calls++
			if call.errno = errno; calls == 5 {
				call.errno = 0
			}
		}
		if err := s.sendOne(call); err != nil || calls != 5 {
			t.Errorf("%v: %d calls, %v", errno, calls, err)
		}
		call.now = func(uintptr) {
			calls++
			call.errno = errno
		}
		if err := s.sendOne(call); !errors.Is(err, errno) || calls < 50 {
			t.Errorf("%v for ever: %d calls, %v", errno, calls, err)
		}
	}
}

// A message that the socket refuses says how many were sent before it.
func TestSendErrorSaysHowMuchWasSent(t *testing.T) {
	c := dialTest(t, Config{})
	long := Message{Type: typeNoop, Attrs: make([]byte, c.t.(*socket).limit+1)}.Append(nil)
	short := Message{Type: typeNoop}.Append(nil)
	err := c.Send(slices.Concat(short, short, long, short))
	var refused *SendError
	if !errors.As(err, &refused) || refused.Sent != 2*len(short) || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("got %v", err)
	}
}

// The longest rewrite fits whatever the system's default is.
func TestSendBufferIsRaisedToTheLongestMessage(t *testing.T) {
	lab.Require(t)
	f := netlinkFile(t, unix.NETLINK_NETFILTER)
	testkit.Must(t, unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 1))
	c, err := FileConn(f)
	testkit.Must(t, err)
	defer c.Close()
	msg := Message{Type: typeNoop, Attrs: make([]byte, 70_000)}.Append(nil)
	if err := c.Send(msg); err != nil {
		t.Error(err)
	}
}
