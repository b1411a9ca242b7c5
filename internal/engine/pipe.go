package engine

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A Peer is the far end of a Pipe: it plays the kernel. Nil and the zero Peer are
// closed ones.
type Peer struct {
	deliver func(datagram []byte) error
	hangUp  func() error
}

// Deliver puts a datagram on the Conn's socket, as the kernel would. It never
// waits: what the socket has no room for is held until it has. There are no
// empty datagrams: nothing happens.
func (p *Peer) Deliver(datagram []byte) error {
	switch {
	case p == nil || p.deliver == nil:
		return net.ErrClosed
	case len(datagram) == 0:
		return nil
	}
	return p.deliver(datagram)
}

// Close hangs up: once the Conn has received what was delivered it fails.
func (p *Peer) Close() error {
	if p == nil || p.hangUp == nil {
		return nil
	}
	return p.hangUp()
}

// Pipe returns a Conn and its far end, for tests; package nfnltest makes a
// kernel of it. What the Conn sends goes to handle, inside Send, just as the
// kernel handles messages inside the system call. On Linux the way back is a
// socket, so that polling, deadlines and Close are the real ones; elsewhere it
// is memory.
func Pipe(handle func(datagram []byte) error) (*Conn, *Peer, error) {
	t, p, err := newPipe(handle)
	if err != nil {
		return nil, nil, err
	}
	return newConn(t), p, nil
}

// MemoryPipe is Pipe without a socket on Linux too, for tests in a bubble of
// testing/synctest, whose clock stands still while anybody waits for a socket.
func MemoryPipe(handle func(datagram []byte) error) (*Conn, *Peer, error) {
	m, p := newMemory(handle)
	return newConn(m), p, nil
}

// A memory is a transport without a socket.
type memory struct {
	handle func([]byte) error

	mu       sync.Mutex
	changed  sync.Cond
	waiting  [][]byte // datagrams
	deadline time.Time
	timer    *time.Timer // wakes at the deadline
	hungUp   bool
	closed   bool
}

// newMemory returns a transport and its far end.
func newMemory(handle func([]byte) error) (*memory, *Peer) {
	m := &memory{handle: handle}
	m.changed.L = &m.mu
	return m, &Peer{deliver: m.deliver, hangUp: m.hangUp}
}

func (m *memory) deliver(datagram []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.hungUp {
		return net.ErrClosed
	}
	m.waiting = append(m.waiting, slices.Clone(datagram))
	m.changed.Broadcast()
	return nil
}

func (m *memory) hangUp() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hungUp = true
	m.changed.Broadcast()
	return nil
}

// receive implements transport. As on a socket, a deadline that has passed takes
// precedence over datagrams.
func (m *memory) receive(b *Batch, wait bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		switch {
		case m.closed:
			return net.ErrClosed
		case wait && !m.deadline.IsZero() && !time.Now().Before(m.deadline):
			return os.ErrDeadlineExceeded
		case len(m.waiting) > 0:
			m.fill(b)
			return nil
		case m.hungUp:
			return io.ErrUnexpectedEOF
		case !wait:
			return nil
		}
		m.changed.Wait()
	}
}

// fill moves datagrams into b.
func (m *memory) fill(b *Batch) {
	for b.n < len(b.slots) && len(m.waiting) > 0 {
		s := &b.slots[b.n]
		n := copy(s.buf, m.waiting[0])
		s.got, s.cut, s.foreign = s.buf[:n:n], n < len(m.waiting[0]), false
		m.waiting[0] = nil
		m.waiting = m.waiting[1:]
		b.n++
	}
}

func (m *memory) send(msgs []byte, _ bool) error { return m.handle(msgs) }

func (m *memory) setReadDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	m.deadline = t
	if !t.IsZero() {
		m.timer = time.AfterFunc(time.Until(t), m.wake)
	}
	m.changed.Broadcast()
	return nil
}

// wake takes the lock, so that it does not happen between a receiver's look at the
// clock and its wait.
func (m *memory) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed.Broadcast()
}

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.changed.Broadcast()
	return nil
}
