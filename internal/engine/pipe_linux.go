package engine

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe is a transport whose receiving half is one end of a socket pair.
type pipe struct {
	*socket
	handle  func([]byte) error
	backlog *backlog
}

func (p *pipe) send(msgs []byte, _ bool) error { return p.handle(msgs) }

// receive implements transport. What was delivered is there, as with the kernel,
// also if it has yet to find room on the socket.
func (p *pipe) receive(b *Batch, wait bool) error {
	for {
		writing := p.backlog.writing()
		err := p.socket.receive(b, wait)
		if err != nil || b.n > 0 || !writing {
			return err
		}
		time.Sleep(pumpPause)
	}
}

// pumpPause is how long the backlog is given to use the room there is.
const pumpPause = 20 * time.Microsecond

// newPipe uses SEQPACKET sockets: they keep datagrams apart and, unlike DGRAM
// sockets, distinguish a closed far end from an empty one.
func newPipe(handle func([]byte) error) (transport, *Peer, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	// The longest datagram of NFLOG is longer than the default takes.
	if err := unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 2*maxDatagram); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	near, far := os.NewFile(uintptr(fds[0]), "nfnl pipe"), os.NewFile(uintptr(fds[1]), "nfnl peer")
	s, err := newSocket(near, false)
	if err != nil {
		near.Close()
		far.Close()
		return nil, nil, err
	}
	b := &backlog{far: far}
	return &pipe{s, handle, b}, &Peer{deliver: b.deliver, hangUp: b.hangUp}, nil
}

// A backlog holds what the socket has no room for yet.
type backlog struct {
	far *os.File

	mu      sync.Mutex
	waiting [][]byte
	pumping bool
	hungUp  bool
	err     error // what ended pump
}

// deliver writes at once if it can, and otherwise leaves it to pump.
func (b *backlog) deliver(datagram []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hungUp {
		return net.ErrClosed
	}
	if b.err != nil {
		return b.err
	}
	if !b.pumping {
		err := b.tryWrite(datagram)
		if !errors.Is(err, unix.EAGAIN) {
			return err
		}
		b.pumping = true
		go b.pump()
	}
	b.waiting = append(b.waiting, slices.Clone(datagram))
	return nil
}

// hangUp closes the far end, after what waits has been written. That ends at
// the latest when the near end is closed.
func (b *backlog) hangUp() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hungUp {
		return nil
	}
	b.hungUp = true
	if b.pumping {
		return nil // pump closes it
	}
	return b.far.Close()
}

// writing reports whether there is something to be written.
func (b *backlog) writing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pumping
}

// tryWrite writes without waiting.
func (b *backlog) tryWrite(datagram []byte) error {
	raw, err := b.far.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { _, err = syscall.Write(int(fd), datagram) })
	return errors.Join(cerr, err)
}

// pump writes the backlog, and ends with it or with the socket.
func (b *backlog) pump() {
	for {
		next, ok := b.next()
		if !ok {
			return
		}
		if _, err := b.far.Write(next); err != nil {
			b.mu.Lock()
			b.err, b.waiting = err, nil
			b.mu.Unlock()
		}
	}
}

// next returns what to write. At the end it returns false, and pump is done.
func (b *backlog) next() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 {
		next := b.waiting[0]
		b.waiting = b.waiting[1:]
		return next, true
	}
	b.pumping = false
	if b.hungUp {
		b.far.Close()
	}
	return nil, false
}
