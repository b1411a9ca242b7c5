package nfnl

import (
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A Peer is the far end of a Pipe: it plays the kernel.
type Peer struct {
	deliver func(datagram []byte) error
	hangUp  func() error
}

// Deliver puts a datagram on the Conn's socket, as the kernel would. It never
// waits: what the socket has no room for is held until it has.
func (p *Peer) Deliver(datagram []byte) error { return p.deliver(datagram) }

// Close hangs up: once the Conn has received what was delivered it fails.
func (p *Peer) Close() error { return p.hangUp() }

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

// A memory is a transport without a socket.
type memory struct {
	handle func([]byte) error

	mu       sync.Mutex
	changed  sync.Cond
	waiting  [][]byte // datagrams
	deadline time.Time
	timer    *time.Timer // broadcasts changed at the deadline
	closed   bool
}

// newMemory returns a transport and its far end.
func newMemory(handle func([]byte) error) (*memory, *Peer) {
	m := &memory{handle: handle}
	m.changed.L = &m.mu
	return m, &Peer{deliver: m.deliver, hangUp: m.close}
}

func (m *memory) deliver(datagram []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	m.waiting = append(m.waiting, slices.Clone(datagram))
	m.changed.Broadcast()
	return nil
}

func (m *memory) receive(b *Batch, wait bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for wait && len(m.waiting) == 0 && !m.closed {
		if !m.deadline.IsZero() && !time.Now().Before(m.deadline) {
			return os.ErrDeadlineExceeded
		}
		m.changed.Wait()
	}
	if m.closed {
		return net.ErrClosed
	}
	for b.n < len(b.slots) && len(m.waiting) > 0 {
		s := &b.slots[b.n]
		n := copy(s.buf, m.waiting[0])
		s.got, s.cut, s.foreign = s.buf[:n:n], n < len(m.waiting[0]), false
		m.waiting = m.waiting[1:]
		b.n++
	}
	return nil
}

func (m *memory) send(msgs []byte) error { return m.handle(msgs) }

func (m *memory) setReadDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.timer != nil {
		m.timer.Stop()
	}
	m.deadline = t
	if !t.IsZero() {
		m.timer = time.AfterFunc(time.Until(t), m.changed.Broadcast)
	}
	m.changed.Broadcast()
	return nil
}

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.changed.Broadcast()
	return nil
}
