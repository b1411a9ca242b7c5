package nfnl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// This file has the system calls of packets and verdicts, and the package's only
// unsafe code. Of mdlayher/netlink it uses Dial, deadlines, SyscallConn and
// Close; its Receive and Send allocate, copy and lock.

// A file is a descriptor under the runtime's poller: *netlink.Conn is one, and
// *os.File.
type file interface {
	syscall.Conn
	SetReadDeadline(time.Time) error
	Close() error
}

// A socket is the transport on a descriptor.
type socket struct {
	file
	raw    syscall.RawConn
	kernel bool // the kernel is at the other end, not a test
	anyone bool // other programs may have sent what is there
	limit  int  // of one send, in bytes
	sends  sync.Pool
}

// dial opens a socket and sets what every user of this package wants set.
func dial(cfg Config) (transport, uint32, error) {
	nc, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: cfg.NetNS})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, 0, fmt.Errorf("this kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK): %w", err)
	}
	if errors.Is(err, unix.EMFILE) {
		return nil, 0, fmt.Errorf("all descriptors this program may have are in use, raise RLIMIT_NOFILE (ulimit -n): %w", err)
	}
	if err != nil {
		return nil, 0, explainNetNS(err, cfg.NetNS)
	}
	s, err := newKernelSocket(nc)
	if err == nil {
		err = s.discard()
	}
	if err == nil && cfg.ReadBuffer > 0 {
		err = s.setReadBuffer(cfg.ReadBuffer)
	}
	if err != nil {
		nc.Close()
		return nil, 0, err
	}
	return s, nc.PID(), nil
}

// explainNetNS adds to a refusal of Config.NetNS what is wrong with it.
func explainNetNS(err error, fd int) error {
	switch {
	case fd == 0: // not asked for
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("Config.NetNS is %d, which is no open descriptor of a network namespace: %w", fd, err)
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("the network namespace of Config.NetNS %d takes CAP_SYS_ADMIN over it and over the program's own: %w", fd, err)
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
func newKernelSocket(f file) (*socket, error) {
	s, err := newSocket(f, true)
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
	// Connected to port 0, the socket refuses what other programs send to it.
	return s, s.control(func(fd int) error { return unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) })
}

// discard throws away what other programs sent to a new socket before it was
// connected. From then on all is the kernel's: not to ask who sent a datagram
// saves a twentieth of what it costs to receive.
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
		return err
	})
	return n, err
}

func (s *socket) setReadDeadline(t time.Time) error { return s.SetReadDeadline(t) }
func (s *socket) close() error                      { return s.Close() }

// rawConn, readBuffer and drops serve the Conn methods of those names.

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

// meminfoDrops is SK_MEMINFO_DROPS of linux/sock_diag.h; there are nine numbers.
const meminfoDrops, meminfoVars = 8, 9

func drops(t transport) (uint32, error) {
	s, ok := t.(*socket)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	var info [meminfoVars]uint32
	err := s.control(func(fd int) error {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		return errnoErr(errno)
	})
	return info[meminfoDrops], err
}

// errnoErr returns errno as an error, nil if it is 0.
func errnoErr(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// A header is the kernel's struct mmsghdr.
type header struct {
	msg unix.Msghdr
	len uint32 // of the datagram
}

// A system is what recvmmsg needs beside a Batch's buffers. Results are stored
// here and not in the socket, so that the socket needs no lock.
type system struct {
	headers []header
	vectors []unix.Iovec
	senders []unix.RawSockaddrNetlink
	asked   bool // who the senders are
	n       int
	bytes   int // in the n datagrams
	errno   syscall.Errno

	waiter *Receiver     // that polls, before it waits
	busy   time.Duration // for so long

	// The methods of these names, bound once: a method value made at each call
	// would be an allocation at each call.
	read func(fd uintptr) (done bool)
	poll func(fd uintptr)
}

// prepare points the headers at the buffers.
func (m *system) prepare(slots []slot) {
	m.headers = make([]header, len(slots))
	m.vectors = make([]unix.Iovec, len(slots))
	m.senders = make([]unix.RawSockaddrNetlink, len(slots))
	for i := range slots {
		h, v := &m.headers[i].msg, &m.vectors[i]
		v.Base = unsafe.SliceData(slots[i].buf)
		v.SetLen(len(slots[i].buf))
		h.Iov = v
		h.SetIovlen(1)
	}
	m.asked = false
	m.read, m.poll = m.recvWaiting, m.recv
}

// ask makes the kernel say who sent each datagram, or not.
func (m *system) ask(who bool) {
	m.asked = who
	for i := range m.headers {
		h := &m.headers[i].msg
		h.Name, h.Namelen = nil, 0
		if who {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&m.senders[i])), unix.SizeofSockaddrNetlink
		}
	}
}

// recv fills the buffers with the datagrams that are there.
func (m *system) recv(fd uintptr) {
	long := m.n == len(m.headers) && m.bytes > muchToCopy // what comes next may be as much again
	if m.asked {
		for i := range m.headers[:m.n] {
			m.headers[i].msg.Namelen = unix.SizeofSockaddrNetlink // the kernel wrote over it
		}
	}
	for {
		n, errno := m.recvmmsg(fd, long)
		// ENOBUFS is news of loss, which the packets' numbers tell better.
		if errno != unix.EINTR && errno != unix.ENOBUFS {
			m.n, m.errno = n, errno
			return
		}
	}
}

// muchToCopy is what the kernel copies in some 20 µs, after which the runtime
// would look for a system call to take the processor from.
const muchToCopy = 128 << 10

// recvmmsg makes the system call. It never waits. The scheduler is told of long
// ones only: to be told, it may have to be woken, which takes longer than to
// receive one packet.
func (m *system) recvmmsg(fd uintptr, long bool) (int, syscall.Errno) {
	var n uintptr
	var errno syscall.Errno
	if long {
		n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(m.headers))),
			uintptr(len(m.headers)), unix.MSG_DONTWAIT, 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(m.headers))),
			uintptr(len(m.headers)), unix.MSG_DONTWAIT, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// recvWaiting is recv; it returns false if there was nothing.
func (m *system) recvWaiting(fd uintptr) bool {
	m.recv(fd)
	if m.errno == unix.EAGAIN && m.busy > 0 {
		m.recvPolling(fd)
	}
	return m.errno != unix.EAGAIN
}

// recvPolling is recv again and again, until there is something, the receiver is
// called back or its deadline reached, or time is up. It does not yield the processor in between: on a busy
// machine Linux would give it back only after milliseconds.
func (m *system) recvPolling(fd uintptr) {
	now := time.Now()
	for end := now.Add(m.busy); m.errno == unix.EAGAIN && now.Before(end) && m.waiter.wanted(now); now = time.Now() {
		m.recv(fd)
	}
}

// receive implements transport.
func (s *socket) receive(b *Batch, wait bool) error {
	m := &b.sys
	m.waiter, m.busy = b.waiter, b.busy
	if m.asked != s.anyone {
		m.ask(s.anyone)
	}
	var err error
	if wait {
		err = s.raw.Read(m.read)
	} else {
		err = s.raw.Control(m.poll)
	}
	switch {
	case err != nil:
		return err
	case m.errno == unix.EAGAIN:
		return nil
	case m.errno != 0:
		return m.errno
	}
	b.n, m.bytes = m.n, 0
	for i := range b.slots[:m.n] {
		m.fill(&b.slots[i], i)
	}
	if first := &b.slots[0]; !s.kernel && len(first.got) == 0 && !first.cut {
		b.n = 0
		return io.ErrUnexpectedEOF // the stand-in for the kernel has hung up
	}
	return nil
}

// fill notes what came in slot number i.
func (m *system) fill(s *slot, i int) {
	h := &m.headers[i]
	m.bytes += int(h.len)
	s.got = s.buf[:h.len:h.len]
	s.cut = h.msg.Flags&unix.MSG_TRUNC != 0
	// The kernel's port is 0; another program's never is.
	s.foreign = m.asked && m.senders[i].Pid != 0
}

// A sendCall is one system call that sends, with its results.
type sendCall struct {
	msgs  []byte
	to    unix.RawSockaddrNetlink
	short bool
	errno syscall.Errno

	// Bound once, like system's.
	now     func(fd uintptr)
	waiting func(fd uintptr) (done bool)
}

func newSendCall() *sendCall {
	s := &sendCall{to: unix.RawSockaddrNetlink{Family: unix.AF_NETLINK}}
	s.now, s.waiting = s.send, s.sendWaiting
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

// sendto makes the system call. The scheduler is told unless it is short, as in
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

func (s *sendCall) sendWaiting(fd uintptr) bool {
	s.send(fd)
	return s.errno != unix.EAGAIN
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
		case unix.EAGAIN: // never from the kernel, which takes all at once
			if err := s.raw.Write(call.waiting); err != nil {
				return err
			}
			return errnoErr(call.errno)
		case unix.ENOBUFS, unix.ENOMEM:
			time.Sleep(sendPause)
		default:
			return errnoErr(call.errno)
		}
	}
	return errnoErr(call.errno)
}

// send implements transport. It goes through Control: RawConn.Write would let
// one sender wait for another, which may be long, for re-injected packets
// travel on inside the call.
func (s *socket) send(msgs []byte, short bool) error {
	call := s.sends.Get().(*sendCall)
	defer s.sends.Put(call)
	call.short = short
	for len(msgs) > 0 {
		n := headOf(msgs, s.limit)
		call.msgs = msgs[:n]
		msgs = msgs[n:]
		err := s.sendOne(call)
		call.msgs = nil
		if err != nil {
			return err
		}
	}
	return nil
}
