package engine

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// This file opens sockets and sets their options; receive_linux.go and
// send_linux.go have the system calls of packets and verdicts. They hold the
// package's only unsafe code. Of mdlayher/netlink they use Dial, PID, SyscallConn and
// Close; its Receive and Send allocate, copy and lock.

// A file can be waited for in the runtime's poller: a *descriptor, the *os.File of a
// Pipe, and in tests a *netlink.Conn.
type file interface {
	syscall.Conn
	SetReadDeadline(time.Time) error
	Close() error
}

// A socket is the transport on a descriptor.
type socket struct {
	file
	raw    syscall.RawConn
	own    *descriptor // the file, or nil if Go's poller watches that
	kernel bool        // the kernel is at the other end, not a test
	anyone bool        // other programs may have sent what is there
	limit  int         // of one send, in bytes
	sends  sync.Pool
	tap    func(sent bool, datagram []byte) // see Config.Tap; may be nil
}

// dial opens a socket and sets what every user of this package wants set.
func dial(cfg Config) (transport, uint32, error) {
	nc, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: cfg.NetNS})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, 0, fmt.Errorf("this kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK): %w", err)
	}
	if err != nil {
		return nil, 0, explainNetNS(explainDescriptors(err), cfg.NetNS)
	}
	portID := nc.PID()
	d, err := copyDescriptor(nc)
	nc.Close()
	if err != nil {
		return nil, 0, err
	}
	s, err := newKernelSocket(d)
	if err == nil {
		err = s.discard()
	}
	if err == nil && cfg.ReadBuffer > 0 {
		err = s.setReadBuffer(cfg.ReadBuffer)
	}
	if err != nil {
		d.Close()
		return nil, 0, explainDenied(explainDescriptors(err))
	}
	s.tap = cfg.Tap
	return s, portID, nil
}

// explainNetNS adds to a refusal of Config.NetNS what is wrong with it.
func explainNetNS(err error, fd int) error {
	switch {
	case fd == 0: // not asked for
		err = explainDenied(err)
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("Config.NetNS is %d, which is no open descriptor of a network namespace: %w", fd, err)
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("opening a socket in the network namespace of Config.NetNS %d needs CAP_SYS_ADMIN over it and over the program's own: %w", fd, err)
	}
	return err
}

// newSocket returns a transport on f.
func newSocket(f file, kernel bool) (*socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{file: f, raw: raw, kernel: kernel, anyone: kernel}
	s.own, _ = f.(*descriptor)
	s.sends.New = func() any { return newSendCall() }
	size, err := s.option(unix.SO_SNDBUF)
	s.limit = size - sendOverhead
	return s, err
}

// sendOverhead is what the kernel wants free in the send buffer beside the
// datagram (netlink_sendmsg: "len > sk->sk_sndbuf - 32").
const sendOverhead = 32

// newKernelSocket returns a transport on a netlink socket, with the options set
// that one of nfnetlink should have.
func newKernelSocket(d *descriptor) (*socket, error) {
	s, err := newSocket(d, true)
	if err == nil {
		err = d.makeGate()
	}
	if err != nil {
		return nil, err
	}
	for _, opt := range []int{
		unix.NETLINK_NO_ENOBUFS, // else one overflow drops all that follows, until the buffer is empty
		unix.NETLINK_CAP_ACK,    // else a refused rewrite comes back whole
		unix.NETLINK_EXT_ACK,    // the kernel's own words
	} {
		if err := s.setOption(unix.SOL_NETLINK, opt, 1); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return nil, err
		}
	}
	if err := s.raiseSendBuffer(); err != nil {
		return nil, err
	}
	// Connected to port 0, the socket refuses what other programs send to it.
	err = s.control(func(fd int) error {
		return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	})
	if err != nil {
		return nil, err
	}
	return s, s.setBlocking()
}

// setBlocking makes a receive without MSG_DONTWAIT block for up to shortWait.
func (s *socket) setBlocking() error {
	return s.control(func(fd int) error {
		if err := unix.SetNonblock(fd, false); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		t := unix.NsecToTimeval(shortWait.Nanoseconds())
		return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t))
	})
}

// maxMessage is what the longest message needs: a rewrite of a whole packet.
const maxMessage = 72 << 10

// raiseSendBuffer makes room for the longest message, beyond the system's limit
// where that is allowed. Where it is not, a message may be too long (EMSGSIZE).
func (s *socket) raiseSendBuffer() error {
	if s.limit >= maxMessage {
		return nil
	}
	if s.setOption(unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, maxMessage) != nil {
		if err := s.setOption(unix.SOL_SOCKET, unix.SO_SNDBUF, maxMessage); err != nil {
			return err
		}
	}
	size, err := s.option(unix.SO_SNDBUF)
	s.limit = size - sendOverhead
	return err
}

// discard drops the datagrams that other programs sent to a new socket before it
// was connected. From then on only the kernel can send. Receiving without the
// sender's address costs a twentieth less.
func (s *socket) discard() error {
	s.anyone = false
	return s.control(func(fd int) error {
		for {
			_, _, err := unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return nil
			}
			if err != nil && err != unix.EINTR && err != unix.ENOBUFS {
				return os.NewSyscallError("recvfrom", err)
			}
		}
	})
}

// setReadBuffer asks for a receive buffer of n bytes, beyond the system's limit
// where that is allowed.
func (s *socket) setReadBuffer(n int) error {
	if s.setOption(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) == nil {
		return nil
	}
	return s.setOption(unix.SOL_SOCKET, unix.SO_RCVBUF, n)
}

// setOption sets a socket option.
func (s *socket) setOption(level, opt, value int) error {
	return s.control(func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, opt, value))
	})
}

// control calls f with the descriptor.
func (s *socket) control(f func(fd int) error) error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// option reads a socket option.
func (s *socket) option(opt int) (n int, err error) {
	err = s.control(func(fd int) error {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
		return os.NewSyscallError("getsockopt", err)
	})
	return n, err
}

func (s *socket) setReadDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// close implements transport. A thread that waits in poll keeps the socket open
// in the kernel. Without an answer to read it would wait for a packet, and the
// queues would stay bound until then. The first answer also ends a receiver that
// blocks, for which descriptor.Close waits.
func (s *socket) close() error {
	if s.kernel {
		s.requestAnswer()
		if s.own != nil {
			s.own.last = requestAnswer // a receiver may have taken the first answer
		}
	}
	return s.Close()
}

// rawConn, readBuffer, setReadBuffer and drops serve the Conn methods of those names.

func rawConn(t transport) (syscall.RawConn, error) {
	if s, ok := t.(*socket); ok {
		return s.raw, nil
	}
	return nil, errors.ErrUnsupported
}

func readBuffer(t transport) (int, error) {
	if s, ok := t.(*socket); ok {
		return s.option(unix.SO_RCVBUF)
	}
	return 0, errors.ErrUnsupported
}

func setReadBuffer(t transport, n int) error {
	if s, ok := t.(*socket); ok {
		return s.setReadBuffer(n)
	}
	return errors.ErrUnsupported
}

func (s *socket) queued() int {
	info, _ := meminfo(s)
	return int(info[meminfoQueued])
}

func drops(t transport) (uint32, error) {
	info, err := meminfo(t)
	return info[meminfoDrops], err
}

// SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_DROPS and SK_MEMINFO_VARS of linux/sock_diag.h.
const meminfoQueued, meminfoDrops, meminfoVars = 0, 8, 9

// meminfo returns what the kernel knows of the socket's memory.
func meminfo(t transport) (info [meminfoVars]uint32, err error) {
	s, ok := t.(*socket)
	if !ok {
		return info, errors.ErrUnsupported
	}
	err = s.control(func(fd int) error {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		return callError("getsockopt", errno)
	})
	return info, err
}

// callError returns errno as the error of a system call, nil if it is 0.
func callError(call string, errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return os.NewSyscallError(call, errno)
}
