package nfqueue

import (
	"context"
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

// A Handler decides on one packet. p and everything it points to are valid
// until the handler returns; Clone keeps them longer. A handler that has to
// wait for something takes p.Ticket() and returns Hold: while it blocks, the
// packets behind p wait too.
type Handler func(p *Packet) Verdict

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
	q.buffers.New = func() any { return new([]byte) }
	err = conn.Request(bind)
	if errors.Is(err, syscall.EBUSY) {
		// Ours already: given to us with conn, or bound by a Request whose
		// answer was lost.
		q.counted = false
		err = conn.Request(cfg.adopt())
	}
	if err != nil {
		return nil, fmt.Errorf("nfqueue: open queue %d: %w", cfg.Queue, q.explain(err))
	}
	q.proc = openProc(conn)
	return q, nil
}

// Run hands every packet to h and returns its verdicts to the kernel, until ctx
// is done, the queue is closed or the socket fails. The error is never nil: it
// is context.Cause(ctx), net.ErrClosed or the socket's. Losing packets ends
// nothing; see Config.OnError.
//
// When ctx is done Run finishes the packets it has. The queue stays bound and
// holds what comes until Close, or another Run. If h panics, the packet and
// the others of its batch get Config.Fallback before the panic goes on.
//
// Several goroutines may call Run to share the packets of one queue, at the
// price of their order.
func (q *Queue) Run(ctx context.Context, h Handler) error {
	r := q.conn.Receiver(ctx)
	defer r.Close()
	b := q.NewBatch()
	for {
		err := q.receive(r, b)
		if err == nil {
			err = b.handle(h)
		}
		if err == nil {
			continue
		}
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
			return cause
		}
		return q.wrap(err)
	}
}

// handle lets h decide on every packet and sends the verdicts.
func (b *Batch) handle(h Handler) error {
	finished := false
	defer func() {
		if !finished { // by a panic, or runtime.Goexit
			b.abandon()
		}
	}()
	if len(b.Packets) > 1 {
		b.mu.Lock()
		b.arm()
		b.mu.Unlock()
	}
	for i := range b.Packets {
		b.decide(h(&b.Packets[i]))
	}
	finished = true
	return b.end()
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
// first. The error is net.ErrClosed, os.ErrDeadlineExceeded or the socket's.
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

// receive waits for packets.
func (q *Queue) receive(r interface{ Receive(*nfnl.Batch) error }, b *Batch) error {
	for {
		b.clear()
		if err := r.Receive(b.raw); err != nil {
			return err
		}
		if err := q.settle(b); err != nil || len(b.Packets) > 0 {
			return err
		}
	}
}

// tryReceive does not.
func (q *Queue) tryReceive(b *Batch) error {
	b.clear()
	if err := q.conn.TryReceive(b.raw); err != nil {
		return err
	}
	return q.settle(b)
}

// Send returns b.Verdicts to the kernel. After that, or after the next Receive,
// the packets are decided; those with Hold wait for SetVerdict. An error means
// that none of them can be decided any more.
func (q *Queue) Send(b *Batch) error {
	for b.next < len(b.Packets) {
		b.decide(b.Verdicts[b.next])
	}
	return q.wrap(b.end())
}

// Drain gives v to all packets that wait, whether held or not yet received.
// Take the rule away first, or they keep coming. Packets that a handler has
// meanwhile are left to it.
func (q *Queue) Drain(v Verdict) error {
	if _, ok := v.Payload(); ok || v.action == ActionHold {
		return fmt.Errorf("nfqueue %d: drain: %v is no verdict for many packets", q.cfg.Queue, v)
	}
	b := q.NewBatch()
	// Bounded, for a rule that is still there may bring more than this loop can answer.
	for n := 0; n <= int(q.cfg.MaxLen); n += len(b.Packets) {
		held := q.waiting.take(maxBatch)
		if err := q.answer(held, v); err != nil {
			return q.wrap(err)
		}
		// Also what the kernel has refused must be taken off the socket.
		if err := q.TryReceive(b); err != nil {
			return err
		}
		if len(held) == 0 && len(b.Packets) == 0 {
			break
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = v
		}
	}
	return q.Send(b)
}

// answer sends v for each of the packets, at most maxBatch.
func (q *Queue) answer(ids []uint32, v Verdict) error {
	if len(ids) == 0 {
		return nil
	}
	var msgs []byte
	for _, id := range ids {
		msgs, _ = v.append(msgs, Ticket{id: id, queue: q.cfg.Queue}, 0) // no payload, no error
	}
	return q.conn.Send(msgs)
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

// wrap names the queue in err.
func (q *Queue) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("nfqueue %d: %w", q.cfg.Queue, err)
}
