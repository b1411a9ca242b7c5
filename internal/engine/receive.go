package engine

import (
	"context"
	"net"
	"time"
)

// A Receiver receives on a Conn until its context is done. The zero Receiver is
// that of a closed Conn.
type Receiver struct {
	c    *Conn
	ctx  context.Context
	stop func() bool
}

// interrupted stands in Conn.holder between a receiver's interruption and the
// moment it has cleared the deadline that interrupted it.
var interrupted = new(Receiver)

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// Receiver returns a Receiver for ctx. It costs one context.AfterFunc, however
// often Receive is called. Call Close when done.
func (c *Conn) Receiver(ctx context.Context) *Receiver {
	r := &Receiver{c: c, ctx: ctx}
	if c.never() || ctx == nil {
		return r
	}
	r.stop = context.AfterFunc(ctx, r.interrupt)
	return r
}

// Close frees what the Receiver holds of its context. The Conn stays open.
func (r *Receiver) Close() {
	if r.stop == nil {
		return
	}
	r.stop()
	_ = r.c.wakeTurnedAway() // on a closed Conn there is nobody to wake
}

// Receive is Conn.Receive, but once the context is done it returns
// context.Cause, at once or instead of waiting.
func (r *Receiver) Receive(b *Batch) error {
	switch {
	case r.ctx == nil && r.c.never():
		return net.ErrClosed
	case r.ctx == nil:
		return errNoContext
	case b == nil:
		return errNoBatch
	case !b.use():
		return errBatchInUse
	}
	defer b.unuse()
	for {
		if err := r.ctx.Err(); err != nil {
			return context.Cause(r.ctx)
		}
		if err := r.c.acquire(r.ctx); err != nil {
			return err
		}
		n, err := r.c.receive(r, b)
		if n > 0 || err != nil || r.c.woken.CompareAndSwap(true, false) {
			return err
		}
		if err := r.c.rest(r.ctx); err != nil {
			return err
		}
	}
}

// Receive waits until the kernel has sent something, fills b with the pending
// datagrams and passes their messages to b's take. It returns net.ErrClosed,
// os.ErrDeadlineExceeded or an error of the socket. Loss is not an error: see Drops.
func (c *Conn) Receive(b *Batch) error {
	if c.never() {
		return net.ErrClosed
	}
	return c.plain.Receive(b)
}

// acquire takes the token.
func (c *Conn) acquire(ctx context.Context) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	select {
	case <-c.token:
		return nil
	default:
	}
	select {
	case <-c.token:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.closed:
		return net.ErrClosed
	}
}

// putBack returns the token.
func (c *Conn) putBack() {
	c.turns.Add(1)
	c.token <- struct{}{}
}

// receive fills b, delivers its messages and returns the token. It waits unless r is
// nil. It returns the number of messages passed to take.
func (c *Conn) receive(r *Receiver, b *Batch) (int, error) {
	defer c.putBack()
	defer c.receives.Add(1)
	if b.take == nil {
		return 0, errNoBatch
	}
	b.reset()
	if room := int(c.room.Load()); room > b.size {
		b.resize(room)
	}
	state := c.sealed.Load()
	if state == ended {
		return 0, nil
	}
	if !c.takeKept(b) && state == open {
		if err := c.fill(r, b); err != nil {
			return 0, err
		}
	}
	return b.deliver(c), nil
}

// fill reads the socket, waiting on behalf of r unless that is nil.
func (c *Conn) fill(r *Receiver, b *Batch) error {
	if r == nil {
		return c.check(c.t.receive(b, false))
	}
	b.waiter, b.busy = r, time.Duration(c.busy.Load())
	c.holder.Store(r)
	if c.triers.Load() > 0 {
		c.noteWait()
	}
	var err error
	if r.ctx.Err() == nil { // else the interruption may have preceded Store
		err = c.check(c.t.receive(b, true))
	}
	stopped := r.release()
	switch {
	case b.n == 0:
		if refused := c.wakeTurnedAway(); err == nil {
			err = refused
		}
	case b.n == len(b.slots): // there may be more, and it may be long until the next Receive
		_ = c.wakeTurnedAway() // or the next send fails too
	}
	if stopped && b.n == 0 {
		return context.Cause(r.ctx)
	}
	return err
}

// wanted reports whether r should continue to poll or to block until then.
func (r *Receiver) wanted(until time.Time) bool {
	return r.c.holder.Load() == r && !r.c.isClosed() && !r.c.isDue(until)
}

// isDue reports whether the user's deadline has passed.
func (c *Conn) isDue(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.deadline.IsZero() && !now.Before(c.deadline)
}

// interrupt makes r return from the kernel, if it is there.
func (r *Receiver) interrupt() {
	if r.expire() {
		r.c.wakeBlocked(aLongTimeAgo)
	}
}

// expire sets a deadline that has passed, if r waits.
func (r *Receiver) expire() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if !r.c.holder.CompareAndSwap(r, interrupted) {
		return false
	}
	r.c.t.setReadDeadline(aLongTimeAgo)
	return true
}

// GrowBuffers gives every Batch that receives from now on room for datagrams of up to
// size bytes. A Receive that waits is interrupted for that: once GrowBuffers has
// returned the kernel may send longer ones.
func (c *Conn) GrowBuffers(size int) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	for old := c.room.Load(); old < int64(size) && !c.room.CompareAndSwap(old, int64(size)); {
		old = c.room.Load()
	}
	// A goroutine that takes the token from here on reads the new room. Wait for the
	// one that has it now.
	return c.recall()
}

// Buffer takes the datagrams that are on the socket and keeps them for the next
// Receive, so that there is room for more. Request has the limit. If another
// goroutine is receiving, Buffer does nothing, because that one takes them.
func (c *Conn) Buffer() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	select {
	case <-c.token:
	default:
		return nil
	}
	defer c.putBack()
	if err := c.look(nil); err != nil && err != errUnread {
		return err
	}
	return c.wake()
}

// release is called when r has returned from the kernel. It undoes the interruption
// of r and reports whether there was one.
func (r *Receiver) release() bool {
	c := r.c
	if c.holder.CompareAndSwap(r, nil) {
		return r.ctx.Err() != nil
	}
	c.mu.Lock() // wait until interrupt has set the deadline
	defer c.mu.Unlock()
	c.t.setReadDeadline(c.deadline)
	c.holder.Store(nil)
	return true
}

// takeKept fills b with datagrams that a Request has kept, if there are any.
func (c *Conn) takeKept(b *Batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b.n < len(b.slots) && len(c.kept) > 0 {
		s, k := &b.slots[b.n], &c.kept[0]
		s.got, s.cut, s.foreign, s.after = k.got, k.cut, k.foreign, k.after
		c.keeps -= k.cost()
		*k = slot{}
		c.kept = c.kept[1:]
		b.n++
	}
	return b.n > 0
}
