package nflog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Shutdown closes the Reader without losing packets. It unbinds the groups, so that no
// more packets are logged to them. Then it waits until loops over Packets and calls of
// Receive have received the packets that the kernel had collected, those in the receive
// buffer, and those that earlier loops left. Then it closes the Reader, and loops,
// Receive and TryReceive return net.ErrClosed. Because it waits for the loop, call it
// from another goroutine, and do not cancel the loop's context before it returns.
//
// If packets remain while no loop is in progress, and the program has never called
// Receive or TryReceive, Shutdown closes the Reader and returns an error whose text has
// the number of packets. If the program has, Shutdown waits for the next call: ctx
// should have a deadline. If ctx is done first, Shutdown closes the Reader and returns
// an error that wraps context.Cause(ctx), and whose text has the number of packets that
// the program did not get. Shutdown receives these itself, and Stats.Discarded counts
// them.
//
// Without CAP_NET_ADMIN Shutdown cannot unbind the groups. It then waits for
// Config.FlushTimeout, in which the kernel delivers the packets it has collected.
//
// After AdoptConn, Shutdown does not unbind the groups, with or without CAP_NET_ADMIN,
// and waits only for the packets in the receive buffer.
//
// Shutdown returns nil if the Reader is already closed, and net.ErrClosed if Close is
// called while it waits. A second call waits for the first.
func (r *Reader) Shutdown(ctx context.Context) error {
	r = r.orClosed()
	if ctx == nil {
		return r.wrap(errNoContext)
	}
	if r.closed.Load() || r.conn == nil {
		return nil
	}
	first, err := r.stopLogging(ctx)
	switch {
	case !first:
		err = r.waitForEnd(ctx)
	case err == nil:
		err = r.handOut(ctx)
	}
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return r.wrap(err)
}

// stopLogging ends the arrival of packets, as far as the Reader can: what is on
// the socket then is the rest. It reports whether it is the first call.
func (r *Reader) stopLogging(ctx context.Context) (first bool, err error) {
	if !r.shutting.CompareAndSwap(false, true) {
		return false, nil
	}
	err = r.unbindAll()
	if errors.Is(err, syscall.EPERM) {
		err = r.waitForCollected(ctx)
	}
	if err != nil {
		return true, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping.Store(true)
	return true, r.conn.SetReadDeadline(time.Unix(1, 0)) // waiting receives return
}

// unbindAll unbinds the groups that are the Reader's own, after a Configure in progress.
func (r *Reader) unbindAll() error {
	r.configuring.Lock()
	defer r.configuring.Unlock()
	if r.handedOver {
		return nil
	}
	return r.unbind(r.groups)
}

// waitForEnd waits until the Reader is closed.
func (r *Reader) waitForEnd(ctx context.Context) error {
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// collectSlack is how much later than its time a timer of the kernel may fire.
const collectSlack = 20 * time.Millisecond

// waitForCollected waits until the kernel has delivered what it has collected.
func (r *Reader) waitForCollected(ctx context.Context) error {
	t := time.NewTimer(r.cfg().FlushTimeout + collectSlack)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ended:
		return net.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wakeShutdown makes handOut look again.
func (r *Reader) wakeShutdown() {
	select {
	case r.quiet <- struct{}{}:
	default:
	}
}

// handOut waits until loops and receives have received all packets.
func (r *Reader) handOut(ctx context.Context) error {
	for {
		if r.users.Load() == 0 {
			rest, quiet, err := r.look()
			switch {
			case err != nil:
				return err
			case quiet && !rest:
				return nil
			case quiet && !r.batches.Load():
				return fmt.Errorf("shut down with %d packets that nobody receives", r.countRest())
			}
		}
		select {
		case <-r.quiet:
		case <-r.ended:
			return net.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("shut down with %d packets that nobody has received: %w", r.countRest(), context.Cause(ctx))
		}
	}
}

// look reports whether there is anything to receive, which poll(2) then reports
// too, and whether nobody has received packets without being done with them
// (quiet).
func (r *Reader) look() (rest, quiet bool, err error) {
	r.fetching.Lock() // a Receive that finds nothing meanwhile would end
	err = r.conn.Buffer()
	r.fetching.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	rest = r.conn.Buffered() > 0 || len(r.left) > 0
	return rest, r.users.Load() == 0, err
}

// countRest takes the packets off the socket, and returns how many packets have not
// been received.
func (r *Reader) countRest() (packets int) {
	for more := true; more; {
		b := r.borrow()
		more = r.tryReceive(b) == nil && len(b.packets) > 0
		r.giveUp(b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.left {
		packets += len(b.rest())
	}
	return packets
}
