package nfqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Shutdown closes the queue without losing packets. It waits until all packets that
// were queued before the call have a verdict, including held ones, and then closes the
// queue. Run and Receive then return net.ErrClosed. The rule may stay: Shutdown does
// not wait for packets queued later.
//
// A Run or a Receive loop has to continue until Shutdown returns. Do not cancel Run's
// context before that:
//
//	go func() {
//		<-signaled.Done() // a context of signal.NotifyContext
//		ended <- q.Shutdown(timeout)
//	}()
//	err := q.Run(context.Background(), h) // net.ErrClosed after Shutdown
//
// These packets get Config.Fallback, and Stats.Fallbacks counts them:
//
//   - all packets without a verdict, if ctx is done first. The error then wraps
//     context.Cause(ctx), and its text has their number.
//   - packets not yet received, if for 100 ms there is no Run, no call of Receive and
//     no Batch that waits for Send.
//   - packets queued after the call that have no verdict when Shutdown closes the
//     queue.
//   - packets that another program received from the same socket before OpenConn.
//     Stats.Fallbacks counts these only if KernelStats worked when the queue was
//     opened.
//
// The kernel drops packets that are queued between the last fallback and the close.
//
// A handler must not wait for Shutdown, which waits for the handler. Shutdown returns
// nil if the queue is already closed, and net.ErrClosed if Close is called while it
// waits.
func (q *Queue) Shutdown(ctx context.Context) error {
	q = q.orClosed()
	if ctx == nil {
		return errNoContext
	}
	if q.isClosed() {
		return q.endWith(nil)
	}
	select {
	case q.stopping <- struct{}{}: // one at a time, until the queue is closed
		defer func() { <-q.stopping }()
		return q.endWith(q.empty(ctx))
	case <-ctx.Done():
		return q.endWith(context.Cause(ctx))
	}
}

// isClosed reports whether Close was called, or there never was a queue.
func (q *Queue) isClosed() bool { return q.closed.Load() || q.conn == nil }

// nobodyAfter is how long Shutdown waits for a receive before it concludes that
// nothing receives. A Receive loop does not receive while it is between Send and
// Receive.
const nobodyAfter = 100 * time.Millisecond

// emptyAlone is empty, without Configure or another Shutdown beside it.
func (q *Queue) emptyAlone(ctx context.Context) error {
	if q.isClosed() {
		return nil
	}
	select {
	case q.stopping <- struct{}{}:
		defer func() { <-q.stopping }()
		return q.empty(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// empty waits until every packet queued before the call has a verdict.
func (q *Queue) empty(ctx context.Context) error {
	if q.isClosed() {
		return nil
	}
	if err := q.handOut(ctx); err != nil {
		return err
	}
	if held, _ := q.waiting.count(); held == 0 {
		return nil
	}
	// While packets are held, later ones must be received too, because the decision
	// on a held packet may depend on a later packet of this queue.
	last := q.waiting.newest.Load()
	if err := q.conn.Unseal(); err != nil {
		return err
	}
	if err := q.poll(ctx, func() bool { return !q.waiting.holdsUpTo(last) }); err != nil {
		return err
	}
	return q.handOut(ctx)
}

// handOut waits until the handlers have returned for all packets that the kernel has
// sent. Packets sent later are not received until Unseal.
func (q *Queue) handOut(ctx context.Context) error {
	if err := q.conn.Seal(); err != nil {
		return err
	}
	last, calls := time.Now(), uint32(0) // when a receive was last in progress
	return q.poll(ctx, func() bool {
		if n := q.calls.Load(); q.receivers.Load() > 0 || n != calls {
			last, calls = time.Now(), n
		}
		return q.conn.Idle() && q.busy.Load() == 0 || time.Since(last) > nobodyAfter
	})
}

// maxPoll is how long poll waits between two looks.
const maxPoll = 5 * time.Millisecond

// poll waits until done returns true, ctx is done or the queue is closed.
func (q *Queue) poll(ctx context.Context, done func() bool) error {
	for pause := 50 * time.Microsecond; !done(); pause = min(2*pause, maxPoll) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		if q.isClosed() {
			return net.ErrClosed
		}
	}
	return nil
}

// holdsUpTo reports whether a packet is held that is not later than the last.
func (w *waiting) holdsUpTo(last uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	newest := w.newest.Load()
	for id := range w.held {
		if newest-id >= newest-last {
			return true
		}
	}
	return false
}

// endWith gives the fallback to packets that still wait, and closes the queue. why is
// the reason for not waiting any longer, or nil.
func (q *Queue) endWith(why error) error {
	if q.shut.Load() {
		return nil // by another Shutdown, which waited for all
	}
	if q.isClosed() {
		return q.wrap(why)
	}
	// Nothing may be received into a batch that Run leaves because closed is set.
	if err := q.conn.End(); err != nil {
		return q.wrap(cmp.Or(why, err))
	}
	q.shut.Store(why == nil)
	q.closed.Store(true) // no handler is called any more
	q.awaitListed()
	var waiting KernelStats
	if q.inherited.n.Load() > 0 {
		waiting, _ = q.KernelStats()
	}
	n, err := q.decideAll(&q.cfg().Fallback, 1, 0)
	if errors.Is(err, errKeepComing) {
		err = nil
	}
	left, failed := q.discard()
	if err = errors.Join(err, failed); err == nil {
		left += q.inherited.left(int(waiting.Waiting) - n - left)
	}
	q.stats.verdicts[q.cfg().Fallback.action].Add(uint64(left))
	n += left
	q.stats.fallbacks.Add(uint64(n))
	if why != nil {
		why = fmt.Errorf("shutdown: %d packets without a verdict got the fallback: %w", n, why)
	}
	return q.wrap(errors.Join(why, err, q.Close()))
}

// awaitListed waits until the packets received before End are listed, and so counted
// when they get the fallback. No handler and no OnError is called in between.
func (q *Queue) awaitListed() {
	for pause := 10 * time.Microsecond; q.unlisted.Load() > 0; pause = min(2*pause, maxPoll) {
		time.Sleep(pause)
	}
}

// discard takes the datagrams that are kept, which arrived before the kernel's
// last answer. It returns the number of their packets, without those on which
// SetVerdictAll decided. Refusals of earlier verdicts among them are counted and
// reported. Packets that arrived while decideAll decided on others may have no
// verdict, so discard sends the fallback for them.
func (q *Queue) discard() (packets int, err error) {
	b := q.NewBatch()
	first := q.taken
	for {
		b.clear()
		if q.conn.Rest(b.raw) != nil || b.news.seen == 0 {
			break
		}
		q.settle(b)
		b.forget()
	}
	packets = int(q.taken - max(first, q.decided.Load()))
	if packets > 0 {
		last := Ticket{id: q.waiting.newest.Load(), queue: q.number}
		err = q.conn.Send(q.cfg().Fallback.appendUpTo(nil, &last, 0))
	}
	return packets, err
}

// forget takes it that all packets have their verdict.
func (b *Batch) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
	b.q.ranges.answered(len(b.tickets))
	b.done()
}
