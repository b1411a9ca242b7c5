package nfnl

import (
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A pipe is a transport whose receiving half is one end of a socket pair.
type pipe struct {
	*socket
	handle func([]byte) error
}

func (p *pipe) send(msgs []byte) error { return p.handle(msgs) }

// newPipe uses SEQPACKET sockets: they keep datagrams apart, and a closed far
// end is told from an empty one, which DGRAM sockets do not.
func newPipe(handle func([]byte) error) (transport, *Peer, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
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
	return &pipe{s, handle}, &Peer{deliver: b.deliver, hangUp: far.Close}, nil
}

// A backlog holds what the socket has no room for yet.
type backlog struct {
	far *os.File

	mu      sync.Mutex
	waiting [][]byte
	pumping bool
}

// deliver writes at once if it can, and otherwise leaves it to pump.
func (b *backlog) deliver(datagram []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
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
		b.mu.Lock()
		if len(b.waiting) == 0 {
			b.pumping = false
			b.mu.Unlock()
			return
		}
		next := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.mu.Unlock()
		if _, err := b.far.Write(next); err != nil {
			return
		}
	}
}
