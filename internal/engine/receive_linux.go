package engine

import (
	"io"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
	asked   bool // the senders' addresses are requested
	n       int
	bytes   int // in the n datagrams
	errno   syscall.Errno
	gateErr error // of the gate

	waiter *Receiver     // that polls or blocks
	busy   time.Duration // for so long
	own    *descriptor   // see socket

	// Methods bound once: a method value made at each call would be an allocation
	// at each call.
	read  func(fd uintptr) (done bool)
	gated func(gate uintptr) (done bool)
	poll  func(fd uintptr)
	block func(fd uintptr)
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
	m.read, m.gated, m.poll, m.block = m.recvWaiting, m.recvGated, m.recv, m.recvBlocking
}

// ask makes the kernel return the sender of each datagram, or not.
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
	long := m.n == len(m.headers) && m.bytes > muchToCopy // the next may be as many again
	for {
		n, errno := m.recvmmsg(fd, unix.MSG_DONTWAIT, long)
		// ENOBUFS reports loss, which the packets' numbers show exactly.
		if errno != unix.EINTR && errno != unix.ENOBUFS {
			m.n, m.errno = n, errno
			return
		}
	}
}

// muchToCopy is what the kernel copies in some 20 µs, after which the runtime
// would look for a system call to take the processor from.
const muchToCopy = 128 << 10

// recvmmsg makes the system call. Only long ones notify Go's scheduler: that may wake
// a thread, which takes longer than to receive one packet.
func (m *system) recvmmsg(fd, flags uintptr, long bool) (int, syscall.Errno) {
	if m.asked {
		for i := range m.headers[:m.n] {
			m.headers[i].msg.Namelen = unix.SizeofSockaddrNetlink // the kernel wrote over it
		}
	}
	var n uintptr
	var errno syscall.Errno
	if long {
		n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(m.headers))),
			uintptr(len(m.headers)), flags, 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(m.headers))),
			uintptr(len(m.headers)), flags, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// recvOwn is recv, and waits for as long as it takes.
func (m *system) recvOwn() error {
	pace := &m.own.pace
	if pace.frequent() {
		m.errno = unix.EAGAIN
		if err := m.own.Control(m.block); err != nil || m.errno != unix.EAGAIN {
			return err
		}
	}
	pace.parked = 0 // a wait that was interrupted does not count
	m.gateErr = nil
	if err := m.own.wait.Read(m.gated); err != nil {
		return err
	}
	return m.gateErr
}

// recvGated is recvWaiting for a socket behind a gate.
func (m *system) recvGated(uintptr) bool {
	d := m.own
	d.pace.resume()
	if m.read(uintptr(d.fd)) {
		return true
	}
	opened, err := d.openGate()
	if err != nil {
		m.gateErr = err
		return true
	}
	if opened {
		if m.recv(uintptr(d.fd)); m.errno != unix.EAGAIN {
			return true
		}
	}
	d.pace.park()
	return false
}

// recvWaiting is recv, after which it may poll; it returns false if there was nothing.
func (m *system) recvWaiting(fd uintptr) bool {
	if m.waiter.c.isClosed() { // what has arrived is for a thread that waits in poll; see close
		m.n, m.errno = 0, unix.ECANCELED
		return true
	}
	m.recv(fd)
	m.recvPolling(fd)
	return m.errno != unix.EAGAIN
}

// recvPolling repeats recv until a datagram arrives, the receiver is cancelled,
// its deadline passes, or the time to poll is over. It does not yield the
// processor in between: on a busy machine Linux would give it back only after
// milliseconds.
func (m *system) recvPolling(fd uintptr) {
	if m.busy <= 0 || m.errno != unix.EAGAIN {
		return
	}
	now := time.Now()
	for end := now.Add(m.busy); m.errno == unix.EAGAIN && now.Before(end) && m.waiter.wanted(now); now = time.Now() {
		m.recv(fd)
	}
}

// receive implements transport.
func (s *socket) receive(b *Batch, wait bool) error {
	m := &b.sys
	m.waiter, m.busy = b.waiter, b.busy
	m.own = s.own
	if m.asked != s.anyone {
		m.ask(s.anyone)
	}
	var err error
	switch {
	case !wait:
		err = s.raw.Control(m.poll)
	case s.own == nil:
		err = s.raw.Read(m.read)
	default:
		err = m.recvOwn()
	}
	switch {
	case err != nil:
		return err
	case m.errno == unix.EAGAIN:
		return nil
	case m.errno != 0:
		return callError("recvmmsg", m.errno)
	}
	b.n, m.bytes = m.n, 0
	for i := range b.slots[:m.n] {
		m.fill(&b.slots[i], i)
	}
	if first := &b.slots[0]; !s.kernel && len(first.got) == 0 && !first.cut {
		b.n = 0
		return io.ErrUnexpectedEOF // the stand-in for the kernel has hung up
	}
	for i := 0; s.tap != nil && i < b.n; i++ {
		s.tap(false, b.slots[i].got)
	}
	return nil
}

// fill notes the datagram received in slot number i.
func (m *system) fill(s *slot, i int) {
	h := &m.headers[i]
	m.bytes += int(h.len)
	s.got = s.buf[:h.len:h.len]
	s.cut = h.msg.Flags&unix.MSG_TRUNC != 0
	// The kernel's port is 0; another program's never is.
	s.foreign = m.asked && m.senders[i].Pid != 0
}
