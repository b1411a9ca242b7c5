package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// This file separates the messages that are on the socket at one moment from
// later ones, so that a Shutdown has a finite number to wait for.

// What Conn.sealed may be.
const (
	open   = iota
	sealed // a Receive returns what is kept, and does not read the socket
	ended  // a Receive returns nothing
)

// Seal keeps everything that the kernel has sent so far for the next Receives. After
// these, a Receive waits for Unseal or Close, and a TryReceive returns nothing.
func (c *Conn) Seal() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	if !c.sealed.CompareAndSwap(open, sealed) && c.sealed.Load() == ended {
		return nil
	}
	if err := c.recall(); err != nil {
		return err
	}
	// The kernel's answer follows everything that it sent before.
	return c.askInOrder(&request{seals: true})
}

// Mark calls then after the last message that the kernel has sent so far was passed
// to take; see RequestInOrder.
func (c *Conn) Mark(then func()) error {
	return c.askInOrder(&request{then: then})
}

// askInOrder requests an empty answer, for its place among the messages.
func (c *Conn) askInOrder(r *request) error {
	err := c.request(Message{Type: typeNoop, PortID: wakePort}, r)
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return nil // without CAP_NET_ADMIN it answers that, and that is an answer
	}
	return err
}

// Unseal undoes Seal. It makes the descriptor readable: an event loop may have been
// woken by a message that arrived since Seal, and have received nothing.
func (c *Conn) Unseal() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	if !c.sealed.CompareAndSwap(sealed, open) {
		return nil
	}
	return c.askForWake()
}

// End makes every Receive wait for Close, and every TryReceive return nothing. Rest
// returns what is kept.
func (c *Conn) End() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	c.sealed.Store(ended)
	return c.recall()
}

// Rest fills b with what is kept after End: what the kernel sent before it answered the
// last Request. If that is nothing, take is not called.
func (c *Conn) Rest(b *Batch) error {
	if err := c.acquire(context.Background()); err != nil {
		return err
	}
	defer c.putBack()
	for b.reset(); c.takeKept(b); b.reset() {
		if b.deliver(c) > 0 {
			return nil
		}
	}
	return nil
}

// Idle reports whether nobody is receiving and nothing is kept for a Receive: while
// the Conn is sealed, everything that arrived before Seal has then been delivered.
func (c *Conn) Idle() bool {
	if c.isClosed() {
		return true
	}
	select {
	case <-c.token:
	default:
		return false
	}
	defer c.putBack()
	return c.Buffered() == 0
}

// sealPause is how often a Receive on a sealed Conn looks whether there is
// something for it.
const sealPause = time.Millisecond

// rest waits a little if the Conn is sealed.
func (c *Conn) rest(ctx context.Context) error {
	if c.sealed.Load() == open {
		return nil
	}
	if c.isDue(time.Now()) {
		return os.ErrDeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.closed:
		return net.ErrClosed
	case <-time.After(sealPause):
		return nil
	}
}

// recall interrupts the Receive that waits in the kernel, and waits until the
// goroutine that reads the socket has returned the token. From then on all receives
// see what the caller stored before.
func (c *Conn) recall() error {
	for before := c.turns.Load(); c.turns.Load() == before; {
		if r := c.holder.Load(); r != nil && r != interrupted {
			r.interrupt()
		}
		select {
		case <-c.token:
			c.putBack()
		case <-c.closed:
			return net.ErrClosed
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// wakePort is the port ID in requests for an empty answer. The kernel ignores and
// echoes it.
const wakePort = 1

// wake makes the descriptor readable again after look has read the socket: if
// datagrams are kept, of which the kernel no longer knows, or after a Wake.
func (c *Conn) wake() error {
	if c.Buffered() == 0 && !c.woken.Load() {
		return nil
	}
	return c.askForWake()
}

// Wake makes a Receive that waits return without an error and with nothing, and the
// descriptor readable until the socket is read, for an event loop that polls it: it
// requests an answer from the kernel, for which nobody waits. nflog calls it when a
// loop is left with packets that it has not yielded.
func (c *Conn) Wake() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	c.woken.Store(true)
	return c.askForWake()
}

// askForWake makes the kernel answer.
func (c *Conn) askForWake() error {
	return c.Send(wakeMessage(c.nextSeq()).Append(nil))
}

// wakeMessage asks for an answer that nobody waits for.
func wakeMessage(seq uint32) Message {
	return Message{Type: typeNoop, Flags: FlagRequest | FlagAck, Seq: seq, PortID: wakePort}
}
