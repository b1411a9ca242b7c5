package engine

import (
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A descriptor is a socket that Go's poller does not watch itself:
//
//	packets are rare       goroutine ── Go's poller ── gate (an epoll) ── socket
//	packets are frequent   goroutine ── recvmmsg, which blocks ────────── socket
//
// If the poller were notified of packets while a goroutine blocks, each would wake a
// thread of the program that waits in it for something else, such as a timer. So the
// gate is closed meanwhile.
//
// A descriptor is its own syscall.RawConn.
type descriptor struct {
	fd    int
	uses  atomic.Int64 // calls of Control in progress, and closing
	done  chan struct{}
	clean runtime.Cleanup // of a descriptor that is never closed

	gate   *os.File
	gateFD int
	wait   syscall.RawConn // on gate

	// Only for the functions that wait.Read calls, of which one runs at a time.
	open  bool // the gate reports packets
	event unix.EpollEvent

	pace pace // for who has the receive token
}

// closing is added to descriptor.uses by Close.
const closing = math.MinInt64

// newDescriptor returns a descriptor that owns fd.
func newDescriptor(fd int) *descriptor {
	d := &descriptor{fd: fd, done: make(chan struct{})}
	d.clean = runtime.AddCleanup(d, func(fd int) { unix.Close(fd) }, fd)
	return d
}

// makeGate is to be called before anything waits for the descriptor.
func (d *descriptor) makeGate() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	d.gateFD = fd
	if err := d.control(unix.EPOLL_CTL_ADD, 0); err != nil {
		unix.Close(fd)
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile would keep it out of the poller
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	d.gate = os.NewFile(uintptr(fd), "epoll")
	if d.wait, err = d.gate.SyscallConn(); err != nil {
		return err
	}
	return d.gate.SetReadDeadline(time.Time{}) // fails if the poller has not taken it
}

// control makes a call of epoll_ctl on the socket.
func (d *descriptor) control(op int, events uint32) error {
	d.event = unix.EpollEvent{Events: events}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(d.gateFD, op, d.fd, &d.event))
}

// try calls f. If f returns false, the poller will call try again once the socket is
// readable.
func (d *descriptor) try(f func(fd uintptr) (done bool)) (done bool) {
	for !f(uintptr(d.fd)) {
		if d.open || !d.openGate() {
			return false
		}
		// What arrived before is not reported if the gate's list of ready sockets
		// still has the socket, from before it was closed (ep_modify): look again.
	}
	return true
}

// openGate makes the gate report the packets that arrive from now on. It is
// edge-triggered, so that it need not be told when they have been received.
func (d *descriptor) openGate() bool {
	d.open = d.control(unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLET) == nil
	return d.open
}

// closeGate makes it report nothing.
func (d *descriptor) closeGate() {
	d.open = d.open && d.control(unix.EPOLL_CTL_MOD, 0) != nil
}

// SyscallConn implements file.
func (d *descriptor) SyscallConn() (syscall.RawConn, error) { return d, nil }

// Control implements syscall.RawConn.
func (d *descriptor) Control(f func(fd uintptr)) error {
	if !d.use() {
		return os.ErrClosed
	}
	defer d.unuse()
	f(uintptr(d.fd))
	return nil
}

// Read implements syscall.RawConn.
func (d *descriptor) Read(f func(fd uintptr) (done bool)) error {
	return d.wait.Read(func(uintptr) bool { return d.try(f) })
}

// Write implements syscall.RawConn. The kernel takes everything at once.
func (d *descriptor) Write(f func(fd uintptr) (done bool)) error {
	if !d.use() {
		return os.ErrClosed
	}
	defer d.unuse()
	for !f(uintptr(d.fd)) {
		if d.uses.Load() < 0 {
			return os.ErrClosed
		}
		runtime.Gosched()
	}
	return nil
}

// SetReadDeadline implements file.
func (d *descriptor) SetReadDeadline(t time.Time) error { return d.gate.SetReadDeadline(t) }

// shut makes every Read return, and waits until they have: one that blocks does after
// blockFor, if nothing arrives before.
func (d *descriptor) shut() error {
	if d.gate == nil {
		return nil
	}
	return d.gate.Close()
}

// Close implements file. The first call waits for those of Control and Read.
func (d *descriptor) Close() error {
	for n := d.uses.Load(); ; n = d.uses.Load() {
		if n < 0 {
			return os.ErrClosed
		}
		if d.uses.CompareAndSwap(n, n+1+closing) {
			break
		}
	}
	d.shut() // which fails if it was called before
	d.unuse()
	<-d.done
	d.clean.Stop()
	return os.NewSyscallError("close", unix.Close(d.fd))
}

// use keeps the descriptor open until unuse is called. It returns false if it is closed.
func (d *descriptor) use() bool {
	for n := d.uses.Load(); n >= 0; n = d.uses.Load() {
		if d.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

func (d *descriptor) unuse() {
	if d.uses.Add(-1) == closing {
		close(d.done)
	}
}
