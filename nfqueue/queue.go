package nfqueue

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
)

// A Queue is an open netfilter queue. Its methods may be called from any
// goroutine at any time, also from handlers.
type Queue struct {
	conn    *nfnl.Conn
	cfg     Config
	waiting waiting
	stats   counters
	proc    proc
	buffers sync.Pool // of *[]byte, for single verdicts

	// Of the last packet received; guarded by the Conn, which hands out one
	// message at a time.
	lastID  uint32
	counted bool
}

// Open binds to a queue. It needs CAP_NET_ADMIN over the network namespace. It
// returns an error that names the field if cfg is wrong, before the kernel is
// asked; without the privilege one that matches os.ErrPermission; and ErrTaken
// if another socket has the queue.
func Open(cfg Config) (*Queue, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	conn, err := nfnl.Dial(cfg.withDefaults().Socket)
	if err != nil {
		return nil, fmt.Errorf("nfqueue: open queue %d: %w", cfg.Queue, err)
	}
	q, err := OpenConn(conn, cfg)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// OpenConn is Open on a connection made by the caller, which belongs to the
// Queue unless there is an error; Config.Socket is not used. A queue that the
// connection has already is taken over with what waits in it.
func OpenConn(conn *nfnl.Conn, cfg Config) (*Queue, error) {
	bind, err := cfg.Bind()
	if err != nil {
		return nil, err
	}
	q := &Queue{conn: conn, cfg: cfg.withDefaults(), counted: true}
	q.waiting.held = map[uint32]struct{}{}
	q.waiting.limit = uint64(q.cfg.MaxLen)
	q.buffers.New = func() any { return new([]byte) }
	if err := q.bind(bind); err != nil {
		return nil, fmt.Errorf("nfqueue: open queue %d: %w", cfg.Queue, q.explain(err))
	}
	q.proc = openProc(conn)
	return q, nil
}

// bind sends the configuration.
func (q *Queue) bind(m nfnl.Message) error {
	if q.cfg.ConntrackVerdicts && !q.cfg.Conntrack {
		// Elsewhere than on a queue that is bound already, nothing but the check
		// happens: the kernel makes it before it looks for the queue.
		if err := q.conn.Request(q.cfg.askConntrack()); errors.Is(err, syscall.EOPNOTSUPP) {
			return err
		}
	}
	err := q.conn.Request(m)
	if errors.Is(err, syscall.EBUSY) {
		// Ours already: given to us with conn, or bound by a Request whose
		// answer was lost. Where its IDs have got to is for a packet to tell.
		q.counted = false
		err = q.conn.Request(q.cfg.adopt())
	}
	return err
}

// explain adds to the kernel's refusal of the configuration what to do about it.
func (q *Queue) explain(err error) error {
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("%w: this kernel knows not all of the flags that Config.Conntrack, ConntrackVerdicts, SecurityContext and Flags ask for", err)
	}
	err = q.conn.Explain(err, nfnl.SubsystemQueue, "nfnetlink_queue", ErrTaken)
	if errors.Is(err, ErrTaken) {
		list := openProc(q.conn)
		defer list.close()
		all, _ := list.read() // without it the owner is not named
		return fmt.Errorf("%w%s", err, owner(all, q.cfg.Queue, program))
	}
	return err
}

// Receive waits for packets and fills b with them. Run is built on Receive and
// Send; use those to own the loop:
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
// What an earlier Receive with b brought and Send was not called for is sent
// first. The error is net.ErrClosed, os.ErrDeadlineExceeded, the socket's, or
// why the kernel takes no verdicts any more: without CAP_NET_ADMIN they match
// os.ErrPermission. With the last of these b may have packets all the same.
func (q *Queue) Receive(b *Batch) error {
	if err := q.Send(b); err != nil {
		return err
	}
	return q.wrap(q.receive(q.conn, b))
}

// TryReceive is Receive without waiting. If no packet is there, or another
// goroutine is receiving and will get what comes, b.Packets is empty.
func (q *Queue) TryReceive(b *Batch) error {
	if err := q.Send(b); err != nil {
		return err
	}
	return q.wrap(q.tryReceive(b))
}

// Send returns b.Verdicts to the kernel. After that, or after the next Receive,
// the packets are decided; those with Hold wait for SetVerdict. An error means
// that none of them can be decided any more.
func (q *Queue) Send(b *Batch) error {
	for b.next < len(b.Packets) {
		b.decide(&b.Verdicts[b.next])
	}
	return q.wrap(b.end())
}

// SetReadDeadline makes Receive, and Run, fail with os.ErrDeadlineExceeded from
// t on. The zero t takes that back.
func (q *Queue) SetReadDeadline(t time.Time) error { return q.conn.SetReadDeadline(t) }

// SyscallConn is nfnl.Conn's.
func (q *Queue) SyscallConn() (syscall.RawConn, error) { return q.conn.SyscallConn() }

// Close gives the queue back. Everything that waits returns net.ErrClosed. The
// kernel drops the packets that have no verdict yet; to decide on them, take
// the rule away and call Drain before. Closing again does nothing.
func (q *Queue) Close() error {
	q.waiting.close()
	q.proc.close()
	return q.conn.Close()
}

// report tells OnError. No lock may be held: it may call any method.
func (q *Queue) report(err error) {
	if q.cfg.OnError != nil {
		q.cfg.OnError(q.wrap(err))
	}
}

// wrap names the queue in err.
func (q *Queue) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("nfqueue %d: %w", q.cfg.Queue, err)
}
