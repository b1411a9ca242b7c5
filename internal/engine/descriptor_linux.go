package engine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
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
	uses  atomic.Int64 // calls of Control and Write in progress, and closing
	done  chan struct{}
	last  func(fd uintptr) // called by Close when nothing else uses fd; may be nil
	clean runtime.Cleanup  // of a descriptor that is never closed

	gate   *os.File
	gateFD int
	wait   syscall.RawConn // on gate

	mu      sync.Mutex  // for changes of the gate
	open    atomic.Bool // it reports packets
	readers int         // calls of Read in progress, for which it stays open
	event   unix.EpollEvent

	blocked atomic.Bool // a thread blocks, or is about to
	pace    pace        // for who has the receive token
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
	if err := d.setGate(unix.EPOLL_CTL_ADD, 0); err != nil {
		unix.Close(fd)
		return explainWatches(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile would keep it out of the poller
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	d.gate = os.NewFile(uintptr(fd), "epoll")
	if d.wait, err = d.gate.SyscallConn(); err != nil {
		return err
	}
	if err := d.gate.SetReadDeadline(time.Time{}); err != nil { // os.NewFile does not say why
		return fmt.Errorf("the socket's epoll was not taken by Go's poller, perhaps for lack of watches (the sysctl fs.epoll.max_user_watches): %w", err)
	}
	return nil
}

// explainWatches adds to the lack of epoll watches what to do about it.
func explainWatches(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("this user's programs watch as many descriptors as they may: raise the sysctl fs.epoll.max_user_watches: %w", err)
	}
	return err
}

// setGate makes a call of epoll_ctl on the socket.
func (d *descriptor) setGate(op int, events uint32) error {
	d.event = unix.EpollEvent{Events: events}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(d.gateFD, op, d.fd, &d.event))
}

// openGate makes the gate report the packets that arrive from now on. It returns false
// if the gate does already. Go's poller is edge-triggered: it reports each packet once.
//
// What arrived before may not be reported: the gate's list of ready sockets may still
// have the socket, from before the gate was closed (ep_modify). Look again.
func (d *descriptor) openGate() (opened bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open.Load() {
		return false, nil
	}
	err = d.setGate(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
	d.open.Store(err == nil)
	return err == nil, err
}

// closeGate makes it report errors only, unless others than the receiver wait for
// packets.
func (d *descriptor) closeGate() {
	if !d.open.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readers == 0 && d.setGate(unix.EPOLL_CTL_MOD, 0) == nil {
		d.open.Store(false)
	}
}

// addReader adds n to the calls of Read in progress.
func (d *descriptor) addReader(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers += n
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
	d.addReader(1)
	defer d.addReader(-1)
	var gateErr error
	err := d.Control(func(uintptr) { _, gateErr = d.openGate() })
	if err == nil {
		err = gateErr
	}
	if err != nil {
		return err
	}
	err = d.wait.Read(func(uintptr) bool { return f(uintptr(d.fd)) })
	if err != nil && d.uses.Load() < 0 {
		return os.ErrClosed
	}
	return err
}

// Write implements syscall.RawConn. The kernel takes everything at once, so there is
// nothing to wait for.
func (d *descriptor) Write(f func(fd uintptr) (done bool)) error {
	done := false
	err := d.Control(func(fd uintptr) { done = f(fd) })
	if err == nil && !done {
		return errWriteWaits
	}
	return err
}

var errWriteWaits = fmt.Errorf("wait until a netlink socket can be written, which it always can: %w", errors.ErrUnsupported)

// SetReadDeadline implements file.
func (d *descriptor) SetReadDeadline(t time.Time) error { return d.gate.SetReadDeadline(t) }

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
	d.unuse()
	<-d.done
	if d.gate != nil {
		d.gate.Close() // every Read returns
	}
	if d.last != nil {
		d.last(uintptr(d.fd))
	}
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
