package nfqueue

import (
	"context"
	"errors"
)

// The way of a packet, from the first line of Run to its verdict:
//
//	Run
//	  receive         receive.go         waits for a batch of packets, holding the receive token
//	    takeRun       receive.go         decodes a packet in place
//	    settle        receive.go         gives the fallback where no handler can decide, counts, reports
//	      begin       batch.go           notes tickets, lists the packets (held.go)
//	  handle                             calls the handler for each packet
//	    decide        batch.go           takes its verdict
//	      encode      batch.go           appends its message, if it is not refused
//	        append    verdict_encode.go
//	          refuse  rewrite.go
//	      hold        held.go            or lists the packet as held
//	    end           batch.go           sends the messages, with one system call
//	      flush       flush.go           as it is called before, for a slow handler
//	        send      send.go
//
// docs/design.md describes it in ten sentences.

// A Handler returns the verdict on one packet. p and everything it points to are valid
// until the handler returns; use Clone to retain it. While a handler blocks, the
// packets after p wait. A handler that has to wait returns Hold and uses p.Ticket().
type Handler func(p *Packet) Verdict

// Run calls h for every packet and sends the verdicts to the kernel, until ctx is
// done, the queue is closed or the socket fails. The error is never nil: it is
// context.Cause(ctx), or wraps net.ErrClosed or an error of Receive. Lost packets are
// not fatal; see Config.OnError.
//
// When ctx is done, Run calls h for the packets that it has already received, sends
// their verdicts and returns. The queue stays bound, and packets wait for another Run.
// Close drops them; to stop without loss use Shutdown, and cancel ctx only after it.
//
// If h panics or calls runtime.Goexit, the verdicts it has returned are sent. The
// packet, and the rest of its batch, get Config.Fallback before the panic propagates.
//
// Several goroutines may call Run to share the packets of one queue. The packets are
// then not handled in order.
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
			break // no verdict is sent any more
		}
		v := h(&b.Packets[i])
		b.decide(&v)
	}
	return b.end()
}
