package nfqueue

import (
	"context"
	"errors"
	"fmt"
)

// Queues are several queues with one handler, for a rule that spreads packets:
// "queue flags fanout to 0-3", or "queue to 0-3", which keeps the packets
// between two addresses in one queue. Each has a socket and a goroutine of its
// own, and so shares nothing with the others.
type Queues struct {
	queues []*Queue
}

// errHandlerExited is why Run ends when a handler calls runtime.Goexit, as
// testing's FailNow does.
var errHandlerExited = errors.New("nfqueue: the handler ended its goroutine")

// errNoQueues is what the zero Queues say.
var errNoQueues = errors.New("nfqueue: there are no queues: OpenRange makes them")

// OpenRange opens n queues, the first of which is cfg.Queue. If one of them
// cannot be opened, none is. The default receive buffer is shared out between
// them, at least 1 MiB each.
func OpenRange(cfg Config, n int) (*Queues, error) {
	if n < 1 || int(cfg.Queue)+n > 1<<16 {
		return nil, fmt.Errorf("nfqueue: open %d queues from Config.Queue %d on: there must be at least one, and none above 65535", n, cfg.Queue)
	}
	if cfg.Socket.ReadBuffer == 0 {
		cfg.Socket.ReadBuffer = max(cfg.withDefaults().Socket.ReadBuffer/n, minReadBuffer)
	}
	qs := &Queues{}
	for range n {
		q, err := Open(cfg)
		if err != nil {
			qs.Close()
			return nil, err
		}
		qs.queues = append(qs.queues, q)
		cfg.Queue++
	}
	return qs, nil
}

// Len returns how many queues there are.
func (qs *Queues) Len() int { return len(qs.queues) }

// Queue returns the i-th queue, the first of which is number 0.
func (qs *Queues) Queue(i int) *Queue { return qs.queues[i] }

// Run runs h on every queue, each in a goroutine of its own: h and
// Config.OnError are called by several at once. When one queue ends, all do, and
// the error is that queue's; see Queue.Run.
func (qs *Queues) Run(ctx context.Context, h Handler) error {
	if len(qs.queues) == 0 {
		return errNoQueues
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, len(qs.queues))
	for _, q := range qs.queues {
		go func() {
			err := errHandlerExited
			defer func() { ended <- err }()
			err = q.Run(ctx, h)
		}()
	}
	first := <-ended
	cancel(first)
	for range len(qs.queues) - 1 {
		<-ended
	}
	return first
}

// Stats returns the sum of all queues' counts.
func (qs *Queues) Stats() Stats {
	var sum Stats
	for _, q := range qs.queues {
		sum.add(q.Stats())
	}
	return sum
}

// Drain gives v to all packets that wait in any of the queues; see Queue.Drain.
func (qs *Queues) Drain(v Verdict) error {
	var errs []error
	for _, q := range qs.queues {
		errs = append(errs, q.Drain(v))
	}
	return errors.Join(errs...)
}

// Close closes all queues. Closing again does nothing.
func (qs *Queues) Close() error {
	var errs []error
	for _, q := range qs.queues {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// add adds t to s.
func (s *Stats) add(t Stats) {
	s.Packets += t.Packets
	s.Lost += t.Lost
	s.Bypassed += t.Bypassed
	s.Malformed += t.Malformed
	s.Refused += t.Refused
	s.Gone += t.Gone
	s.Fallbacks += t.Fallbacks
	s.Expired += t.Expired
	s.Held += t.Held
	s.HeldBytes += t.HeldBytes
	s.ReadBuffer += t.ReadBuffer
	s.SocketDrops += t.SocketDrops
}
