package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Conn is an nfnetlink socket. Its methods may be called from any goroutine
// at any time; concurrent calls of Receive each need a Batch of their own. Nil
// and the zero Conn are closed ones.
type Conn struct {
	t      transport
	portID uint32

	// token holds a value while no goroutine receives. Only the goroutine that has
	// taken it reads the socket, so that packets are counted in the order of their
	// arrival.
	token chan struct{}

	holder     atomic.Pointer[Receiver] // the receiver that waits in the kernel
	triers     atomic.Int32             // TryReceives that wait for a token which is in use for a moment
	waits      chan struct{}            // wakes one of them when there is a holder
	turnedAway atomic.Bool              // a TryReceive found nothing because of the holder
	plain      Receiver                 // for Receive, which has no context

	busy  atomic.Int64 // for how long to poll, in nanoseconds
	room  atomic.Int64 // that a Batch must have for a datagram, at least
	turns atomic.Int64 // how often the token was released

	lossy    atomic.Bool  // set by LoseUnread
	receives atomic.Int64 // number of receives, without those of requests

	mu       sync.Mutex // guards what follows
	deadline time.Time  // the user's, apart from those that interrupt
	asked    []*request // requests that have no answer yet
	kept     []slot     // datagrams that a Request met, for the next Receive
	keeps    int        // what they cost

	seq    atomic.Uint32
	closed chan struct{}
	close  sync.Once

	claimed atomic.Bool
	woken   atomic.Bool  // by Wake, and no Receive has returned for it
	sealed  atomic.Int32 // see Seal

	pipeBuffer int // see there; smaller in tests
}

// A transport carries datagrams to and from the kernel, or a fake one.
type transport interface {
	// receive fills b with at least one datagram, if wait is set, and
	// otherwise with what is there.
	receive(b *Batch, wait bool) error

	// send sends whole messages; short reports that the kernel will not take long.
	send(msgs []byte, short bool) error

	// setReadDeadline makes receive fail with os.ErrDeadlineExceeded at t.
	setReadDeadline(t time.Time) error

	// close makes everything return, and everything after it fail.
	close() error
}

// Dial opens a socket to the kernel. It needs no privilege, but nearly every
// Request does. Off Linux the error matches errors.ErrUnsupported.
func Dial(cfg Config) (*Conn, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("nfnl: Config.%w", err)
	}
	t, portID, err := dial(cfg)
	if err != nil {
		return nil, fmt.Errorf("nfnl: open a netfilter socket: %w", err)
	}
	c := newConn(t)
	c.portID = portID
	return c, nil
}

// newConn returns a Conn on t.
func newConn(t transport) *Conn {
	c := &Conn{t: t, token: make(chan struct{}, 1), waits: make(chan struct{}, 1), closed: make(chan struct{}), pipeBuffer: pipeBuffer}
	c.token <- struct{}{}
	c.plain = Receiver{c: c, ctx: context.Background()}
	return c
}

// Send sends whole messages, without waiting for answers, in as few system
// calls as the socket's send buffer allows. The kernel has handled them all
// when Send returns, and what follows from that, such as the rest of a
// packet's way, has happened too. What it refuses shows up in Receive. The error
// is net.ErrClosed or a *SendError. Several goroutines may be in Send at once.
func (c *Conn) Send(msgs []byte) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	return c.check(c.t.send(msgs, false))
}

// SendShort is Send for messages that the kernel is done with in some 100
// microseconds, such as the verdicts on a few packets of usual size. It uses a
// raw system call, bypassing Go's scheduler, and so blocks the garbage collector
// until it returns.
func (c *Conn) SendShort(msgs []byte) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	return c.check(c.t.send(msgs, true))
}

// SetReadDeadline is net.Conn's: from t on, Receive fails with
// os.ErrDeadlineExceeded. The zero t takes that back.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	if err := c.setDeadline(t); err != nil {
		return c.check(err)
	}
	if !t.IsZero() {
		c.wakeBlocked(t)
	}
	return nil
}

func (c *Conn) setDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.holder.Load() == interrupted {
		return nil // the holder sets it when it lets go
	}
	return c.t.setReadDeadline(t)
}

// wakeBlocked makes a receiver that blocks outside of Go's poller return before t.
func (c *Conn) wakeBlocked(t time.Time) {
	if s, ok := c.t.(interface{ wakeBlocked(time.Time) }); ok {
		s.wakeBlocked(t)
	}
}

// SetBusyPoll makes a Receive that finds nothing spin on the socket for d before
// blocking. That saves the time that waking up takes, at the price of a
// processor's. A value <= 0 disables busy polling.
func (c *Conn) SetBusyPoll(d time.Duration) {
	if !c.never() {
		c.busy.Store(int64(d))
	}
}

// PortID is the socket's netlink address, under which the kernel lists the
// owner of a queue in /proc/net/netfilter/nfnetlink_queue. It is 0 if the other
// end is no kernel (Pipe).
func (c *Conn) PortID() uint32 {
	if c.never() {
		return 0
	}
	return c.portID
}

// ReadBuffer returns the size of the receive buffer that the kernel granted,
// in bytes of its own accounting: about 832 a small packet. 0 is unknown.
func (c *Conn) ReadBuffer() int {
	if c.never() {
		return 0
	}
	n, _ := readBuffer(c.t)
	return n
}

// SetReadBuffer asks for another size of the receive buffer, in bytes, as
// Config.ReadBuffer does. What is on the socket stays there.
func (c *Conn) SetReadBuffer(n int) error {
	switch {
	case c.isClosed():
		return net.ErrClosed
	case n < 1 || n > maxReadBuffer:
		return fmt.Errorf("nfnl: a receive buffer of %d bytes, not between 1 and %d", n, maxReadBuffer)
	}
	return c.check(setReadBuffer(c.t, n))
}

// Drops returns how many datagrams the kernel dropped because the receive buffer was
// full. Answers to requests are counted too.
func (c *Conn) Drops() uint32 {
	if c.never() {
		return 0
	}
	n, _ := drops(c.t)
	return n
}

// SyscallConn gives access to the descriptor, for options this package does
// not know. Do not read, write or filter packets through it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.never() {
		return nil, net.ErrClosed
	}
	return rawConn(c.t)
}

// Close closes the socket: the kernel takes back every queue and group bound
// by it. Everything that waits returns net.ErrClosed. Closing again does
// nothing.
func (c *Conn) Close() error {
	if c.never() {
		return nil
	}
	var err error
	c.close.Do(func() {
		close(c.closed)
		err = c.t.close()
	})
	return err
}

// never reports whether c was never open: it was not returned by Dial, FileConn or
// Pipe.
func (c *Conn) never() bool { return c == nil || c.t == nil }

// isClosed reports whether Close was called, or c was never open.
func (c *Conn) isClosed() bool {
	if c.never() {
		return true
	}
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// check replaces any error of a closed descriptor by net.ErrClosed (Go issue 29828),
// and explains a system call that is denied.
func (c *Conn) check(err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, net.ErrClosed) && c.isClosed():
		return net.ErrClosed
	}
	return explainDenied(err)
}
