package engine

import (
	"net"
	"time"
)

// TryReceive is Receive without waiting. If no message is there, or another goroutine
// is receiving and will get it, take is not called and the error is nil.
func (c *Conn) TryReceive(b *Batch) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	switch {
	case b == nil:
		return errNoBatch
	case !b.use():
		return errBatchInUse
	}
	defer b.unuse()
	for {
		if !c.tryAcquire() {
			b.reset()
			return c.errIfClosed()
		}
		n, err := c.receive(nil, b)
		if n > 0 || err != nil {
			return err
		}
		if b.n == 0 {
			c.slowDown()
			return c.errIfClosed()
		}
		// There were only answers, and packets may follow them.
	}
}

// errIfClosed returns net.ErrClosed if the Conn is closed: who waits for its descriptor
// must not wait again.
func (c *Conn) errIfClosed() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	return nil
}

// tryAcquire takes the token, unless a receiver that waits in the kernel has it. Other
// holders, such as a Request, have it for a moment only, and may not receive the
// message for which an event loop was woken. So tryAcquire waits for those.
func (c *Conn) tryAcquire() bool {
	select {
	case <-c.token:
		return true
	default:
	}
	c.triers.Add(1)
	defer c.triers.Add(-1)
	for !c.waitedFor() {
		select {
		case <-c.token:
			return true
		case <-c.closed:
			return false
		case <-c.waits:
		}
	}
	c.turnedAway.Store(true)
	if c.triers.Load() > 1 {
		c.noteWait() // this call may have taken the signal that another needs
	}
	return !c.waitedFor() && c.tryAcquire()
}

// waitedFor reports whether a receiver waits in the kernel.
func (c *Conn) waitedFor() bool {
	r := c.holder.Load()
	return r != nil && r != interrupted
}

// noteWait wakes one of the calls of tryAcquire.
func (c *Conn) noteWait() {
	select {
	case c.waits <- struct{}{}:
	default:
	}
}

// wakeTurnedAway makes the descriptor readable again if an event loop was notified of
// what a receiver waited for: that one has stopped, and may have left it on the socket.
func (c *Conn) wakeTurnedAway() error {
	if !c.turnedAway.Swap(false) {
		return nil
	}
	return c.askForWake()
}

// slowDown waits a little if the Conn is sealed, as rest does. Otherwise an event loop
// would spin, because the socket is readable and nothing is received from it.
func (c *Conn) slowDown() {
	if c.sealed.Load() == open {
		return
	}
	select {
	case <-c.closed:
	case <-time.After(sealPause):
	}
}
