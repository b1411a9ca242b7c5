package engine

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sendCall is one system call that sends, with its results.
type sendCall struct {
	msgs  []byte
	to    unix.RawSockaddrNetlink
	short bool
	errno syscall.Errno

	now func(fd uintptr) // bound once, like system's
}

func newSendCall() *sendCall {
	s := &sendCall{to: unix.RawSockaddrNetlink{Family: unix.AF_NETLINK}}
	s.now = s.send
	return s
}

// send sends to the kernel. The address is given although the socket is
// connected: without it the kernel asks for the privileges of whoever opened
// the socket too (netlink_ns_capable).
func (s *sendCall) send(fd uintptr) {
	for {
		s.errno = s.sendto(fd)
		if s.errno != unix.EINTR {
			return
		}
	}
}

// sendto makes the system call. It notifies the scheduler unless it is short, as in
// recvmmsg.
func (s *sendCall) sendto(fd uintptr) (errno syscall.Errno) {
	if s.short {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.msgs))), uintptr(len(s.msgs)),
			0, uintptr(unsafe.Pointer(&s.to)), unix.SizeofSockaddrNetlink)
	} else {
		_, _, errno = unix.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.msgs))), uintptr(len(s.msgs)),
			0, uintptr(unsafe.Pointer(&s.to)), unix.SizeofSockaddrNetlink)
	}
	return errno
}

// sendTries and sendPause are for a kernel that is short of memory: a verdict
// given up would leave its packet waiting for ever.
const (
	sendTries = 100
	sendPause = time.Millisecond
)

// sendOne makes the call until the kernel has the memory for it.
func (s *socket) sendOne(call *sendCall) error {
	for range sendTries {
		if err := s.raw.Control(call.now); err != nil {
			return err
		}
		switch call.errno {
		case unix.ENOBUFS, unix.ENOMEM:
			time.Sleep(sendPause)
		default:
			return callError("sendto", call.errno)
		}
	}
	return callError("sendto", call.errno)
}

// send implements transport. It uses Control: RawConn.Write would make one sender
// wait for another, possibly for long, because accepted packets continue on their
// way inside the call.
func (s *socket) send(msgs []byte, short bool) error {
	call := s.sends.Get().(*sendCall)
	defer s.sends.Put(call)
	call.short = short
	for sent := 0; sent < len(msgs); {
		n := headOf(msgs[sent:], s.limit)
		call.msgs = msgs[sent : sent+n]
		if s.tap != nil {
			s.tap(true, call.msgs)
		}
		err := s.sendOne(call)
		call.msgs = nil
		if err != nil {
			return &SendError{Sent: sent, Err: err}
		}
		sent += n
	}
	return nil
}
