package nfqueue

import (
	"context"
	"errors"
)

// A Handler decides on one packet. p and everything it points to are valid
// until the handler returns; Clone keeps them longer. A handler that has to
// wait for something takes p.Ticket() and returns Hold: while it blocks, the
// packets behind p wait too.
type Handler func(p *Packet) Verdict

// Run hands every packet to h and returns its verdicts to the kernel, until ctx
// is done, the queue is closed or the socket fails. The error is never nil: it
// is context.Cause(ctx), net.ErrClosed or one of those Receive returns. Losing
// packets is not fatal; see Config.OnError.
//
// When ctx is done Run finishes the packets it has. The queue stays bound and
// holds what comes until Close, or another Run. If h panics or ends its
// goroutine, verdicts it has returned are sent; the packet, and the others that
// came with it, get Config.Fallback before the panic goes on.
//
// Several goroutines may call Run to share the packets of one queue, at the
// price of their order.
func (q *Queue) Run(ctx context.Context, h Handler) error {
	q = q.orClosed()
	switch {
	case ctx == nil:
		return errNoContext
	case h == nil:
		return errNoHandler
	}
	r := q.conn.Receiver(ctx)
	defer r.Close()
	b := q.NewBatch()
	q.receivers.Add(1)
	defer q.receivers.Add(-1)
	defer b.abandon()
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
	if len(b.Packets) > 1 {
		b.startTimer()
	}
	for i := range b.Packets {
		if b.q.closed.Load() {
			break // no verdict goes anywhere
		}
		v := h(&b.Packets[i])
		b.decide(&v)
	}
	return b.end()
}
