package nfqueue

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/format"
	"github.com/nfpacket/nfpacket/internal/kernellist"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Queue is an open netfilter queue. All its methods are safe for concurrent use;
// handlers may call all but Shutdown. A nil or zero Queue behaves as a closed one; use
// Open to obtain a Queue.
type Queue struct {
	conn        *engine.Conn
	number      uint16
	configuring sync.Mutex             // one at a time
	given       atomic.Pointer[Config] // by the program
	config      atomic.Pointer[Config] // as granted, with defaults; replaced, never changed
	waiting     waiting
	restriction restriction // never changed
	fitsBuffer  bool        // the receive buffer has the default size; never changed

	// answering is held (shared) from the time a packet is removed from waiting until
	// its verdict is sent. A verdict on many packets holds it exclusively, so as not
	// to be sent between the two.
	answering sync.RWMutex

	stats   counters
	full    fullCount
	list    kernellist.List // of the kernel, for KernelStats
	buffers sync.Pool       // of *[]byte, for single verdicts

	// counted reports that waiting.newest is the ID of a packet, or the one before
	// the first. The Conn guards it, because it delivers one message at a time.
	counted   bool
	bypass    bypass
	inherited inherited
	taken     uint64 // packets received; guarded as counted is

	decided atomic.Uint64 // of these, so many were decided by SetVerdictAll, some before they were received

	ranges    *ranges       // nil without Config.RangeVerdicts
	stopping  chan struct{} // full while a Shutdown is under way
	shut      atomic.Bool   // by a Shutdown that waited for all
	closed    atomic.Bool   // by Close
	receivers atomic.Int32  // Runs, and batches between Receive and Send
	calls     atomic.Uint32 // how often a receive with a batch began or ended
	busy      atomic.Int32  // batches with messages, until they have been handled
	unlisted  atomic.Int32  // of these, the ones whose packets waiting does not list yet
}

// limits returns how much may be held.
func (q *Queue) limits() limits {
	c := q.cfg()
	return limits{c.MaxHeld, c.MaxHeldBytes}
}

// cfg returns the configuration in force.
func (q *Queue) cfg() *Config {
	if c := q.config.Load(); c != nil {
		return c
	}
	return &noConfig
}

// noConfig is that of the zero Queue.
var noConfig Config

// closedQueue stands for a nil Queue, as Open returns it with an error.
var closedQueue Queue

// orClosed returns q, or what stands for it if it is nil.
func (q *Queue) orClosed() *Queue {
	if q == nil {
		return &closedQueue
	}
	return q
}

// Open opens and binds a queue. It needs CAP_NET_ADMIN over the network namespace.
//
// An invalid field of cfg is refused with an error that names the field, before the
// kernel is asked. Without the privilege the error matches os.ErrPermission. If another
// socket has the queue, it matches ErrTaken.
func Open(cfg Config) (*Queue, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	conn, err := engine.Dial(engine.Config(cfg.withDefaults().Socket))
	if err != nil {
		return nil, fmt.Errorf("nfqueue: open queue %d: %w", cfg.Queue, err)
	}
	q, err := openConn(conn, cfg)
	if err != nil {
		conn.Close()
		return nil, err
	}
	q.fitsBuffer = cfg.Socket.ReadBuffer == 0
	return q, nil
}

// OpenConn is like Open, but uses conn; Config.Socket is ignored. The Queue owns conn
// and closes it, unless OpenConn returns an error. A connection can be used by one
// Queue or one nflog.Reader; one that is in use is refused. If the queue is already
// bound to the socket, the Queue also receives the packets in its receive buffer.
// Packets that another program has received from the socket are not delivered again:
// SetVerdictAll decides on them.
func OpenConn(conn *nfnl.Conn, cfg Config) (*Queue, error) {
	return openConn((*engine.Conn)(conn), cfg)
}

// openConn is OpenConn for the engine's Conn.
func openConn(conn *engine.Conn, cfg Config) (*Queue, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := conn.Claim(); err != nil {
		return nil, fmt.Errorf("nfqueue: open queue %d: %w", cfg.Queue, err)
	}
	q := &Queue{conn: conn, number: cfg.Queue, counted: true, restriction: restrictionOf(conn)}
	q.given.Store(&cfg)
	q.waiting.init(q.expire)
	q.buffers.New = func() any { return new([]byte) }
	q.stopping = make(chan struct{}, 1)
	if cfg.RangeVerdicts {
		q.ranges = new(ranges)
	}
	if err := q.configure(cfg, true); err != nil {
		conn.Unclaim()
		return nil, format.Wrap(fmt.Sprintf("nfqueue: open queue %d: ", q.number), err)
	}
	q.openFull()
	return q, nil
}

// Receive waits for packets and fills b with them. Run is built on Receive and Send. A
// program with its own loop calls them:
//
//	b := q.NewBatch()
//	for {
//		if err := q.Receive(b); err != nil {
//			return err
//		}
//		for i := range b.Packets {
//			b.Verdicts[i] = decide(&b.Packets[i])
//		}
//		if err := q.Send(b); err != nil {
//			return err
//		}
//	}
//
// If Send was not called for the previous contents of b, Receive sends those verdicts
// first. The error matches net.ErrClosed or os.ErrDeadlineExceeded, or is an error of
// the socket, or reports that the kernel refuses all verdicts; without CAP_NET_ADMIN
// the latter matches os.ErrPermission. If the kernel refuses all verdicts, b may
// contain packets, which wait in the kernel until the queue is closed.
func (q *Queue) Receive(b *Batch) error {
	q = q.orClosed()
	return q.using(b, func() error {
		if err := q.sendAll(b); err != nil {
			return err
		}
		b.count(1)
		return b.received(q.receive(q.conn, b))
	})
}

// TryReceive is like Receive but does not wait for packets. b.Packets is empty if no
// packet is available, or if another goroutine is receiving and will get it. If that
// goroutine stops without taking the packet, the descriptor of SyscallConn becomes
// readable again. While Configure waits for the kernel's answer, TryReceive waits too,
// at most a second. In an event loop, call it when that descriptor is readable, until
// b.Packets is empty. During Shutdown, once all packets queued before it have been
// received, TryReceive waits for 1 ms and returns no packets.
func (q *Queue) TryReceive(b *Batch) error {
	q = q.orClosed()
	return q.using(b, func() error {
		if err := q.sendAll(b); err != nil {
			return err
		}
		b.count(1)
		return b.received(q.tryReceive(b))
	})
}

// Send sends b.Verdicts to the kernel. Packets with the verdict Hold wait until
// Ticket.SetVerdict is called. The refusal of a verdict on one packet is not an error
// of Send: it is reported to Config.OnError. If Send returns an error, some packets may
// be left without a verdict, until SetVerdictUpTo, SetVerdictAll or Close.
func (q *Queue) Send(b *Batch) error {
	q = q.orClosed()
	return q.using(b, func() error { return q.sendAll(b) })
}

// using calls f, which uses b, unless b is in use or belongs to another queue.
func (q *Queue) using(b *Batch, f func() error) error {
	switch {
	case b == nil || b.q != q:
		return q.wrap(errForeignBatch)
	case !b.used.CompareAndSwap(false, true):
		return q.wrap(errBatchInUse)
	}
	defer b.used.Store(false)
	return f()
}

// sendAll is Send for a caller that has b in use.
func (q *Queue) sendAll(b *Batch) error {
	for b.open && b.next < len(b.tickets) {
		var v Verdict
		if b.next < len(b.Verdicts) {
			v = b.Verdicts[b.next]
		}
		b.decide(&v)
	}
	err := b.end()
	b.count(-1)
	return q.wrap(err)
}

// SetReadDeadline makes Receive and Run fail with os.ErrDeadlineExceeded after t. A
// zero t clears the deadline.
func (q *Queue) SetReadDeadline(t time.Time) error {
	q = q.orClosed()
	return q.wrap(q.conn.SetReadDeadline(t))
}

// SyscallConn returns a raw connection to the socket; see nfnl.Conn.SyscallConn.
func (q *Queue) SyscallConn() (syscall.RawConn, error) {
	q = q.orClosed()
	raw, err := q.conn.SyscallConn()
	return raw, q.wrap(err)
}

// Close closes the socket. Blocked calls return net.ErrClosed. The kernel unbinds the
// queue and drops the packets that have no verdict; Shutdown waits for their verdicts.
// If another descriptor of the socket is open (nfnl.FileConn), the queue stays bound and
// the packets wait. Close is idempotent.
//
// Close in a handler also discards the verdicts of its batch that have not been sent,
// and the handler is not called again. To close the queue from a handler without losing
// packets, call Shutdown in another goroutine.
func (q *Queue) Close() error {
	q = q.orClosed()
	q.closed.Store(true)
	q.waiting.close()
	q.closeFull()
	q.list.Close()
	return q.conn.Close()
}

// report calls OnError. No lock may be held: it may call any method.
func (q *Queue) report(err error) {
	if tell := q.cfg().OnError; tell != nil {
		tell(q.wrap(err))
	}
}

// wrap names the queue in err.
func (q *Queue) wrap(err error) error {
	if err == nil {
		return nil
	}
	if _, named := err.(*PacketError); named {
		return err
	}
	return format.Wrap(fmt.Sprintf("nfqueue %d: ", q.number), err)
}

// Links returns a table of the interfaces in the network namespace of the queue, for
// Packet.Named. It starts a goroutine, which runs until Links.Close. Queue.Close does
// not close it. See nfnl.Conn.Links for the privilege it needs.
func (q *Queue) Links() (*nfnl.Links, error) {
	q = q.orClosed()
	l, err := q.conn.Links()
	return (*nfnl.Links)(l), q.wrap(err)
}
