package nflog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Shutdown ends the Reader without losing a packet. It unbinds the groups, so
// that rules log nothing more to them, and hands out what waits in the receive
// buffer, what the kernel had collected and what loops have left behind: to the
// loops over Packets and the calls of Receive that are in progress or come next.
// Then it closes the Reader: loops, Receive and TryReceive end with net.ErrClosed.
// Call it beside them, not from the body of a loop, for which it would wait.
//
// Shutdown returns once all is handed out and the loops have ended. If packets are
// there and no loop is in progress, it waits for the next call of Receive or
// TryReceive, where the program has used these before. So give ctx a deadline:
// when it is done first, Shutdown closes the Reader and returns context.Cause,
// with the number of packets that nobody received; Stats.Discarded also has those
// that a loop has received and not yielded. Where nobody has ever received by
// these, it does not wait, and returns an error with the number.
//
// Without CAP_NET_ADMIN it cannot unbind the groups. It waits for Config.Collect
// then, in which the kernel delivers what it had collected. After AdoptConn the
// groups belong to somebody else: they stay bound, and Shutdown hands out what is
// on the socket. After Close it returns net.ErrClosed. A second call waits for the
// first.
func (r *Reader) Shutdown(ctx context.Context) error {
	r = r.orClosed()
	if ctx == nil {
		return r.wrap(errNilContext)
	}
	if r.conn == nil {
		return r.wrap(net.ErrClosed)
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

// stopLogging makes what is on the socket all that there will be, as far as the
// Reader is concerned. It reports whether it is the first to do so.
func (r *Reader) stopLogging(ctx context.Context) (first bool, err error) {
	r.configuring.Lock()
	defer r.configuring.Unlock()
	if r.stopping.Load() {
		return false, nil
	}
	if !r.handedOver {
		err = r.unbind(r.groups)
		if errors.Is(err, syscall.EPERM) {
			err = r.waitForCollected(ctx)
		}
		if err != nil {
			return true, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping.Store(true)
	return true, r.conn.SetReadDeadline(time.Unix(1, 0)) // who waits returns
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

// collectSlack is what the kernel may take for a timer on top of its time.
const collectSlack = 20 * time.Millisecond

// waitForCollected waits until the kernel has delivered what it has collected.
func (r *Reader) waitForCollected(ctx context.Context) error {
	t := time.NewTimer(r.cfg().Collect + collectSlack)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
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

// handOut waits until others have received all there is.
func (r *Reader) handOut(ctx context.Context) error {
	for {
		if r.users.Load() == 0 {
			n, quiet, err := r.fetchRest()
			switch {
			case err != nil:
				return err
			case quiet && n == 0:
				return nil
			case quiet && !r.batches.Load():
				return fmt.Errorf("shut down with %d packets that nobody receives", n)
			}
		}
		select {
		case <-r.quiet:
		case <-r.ended:
			return net.ErrClosed
		case <-ctx.Done():
			n, _, _ := r.fetchRest()
			return fmt.Errorf("shut down with %d packets that nobody has received: %w", n, context.Cause(ctx))
		}
	}
}

// fetchRest takes what is on the socket to where the next Receive finds it. It
// returns how many packets are there, and whether that is all there is: nobody has
// packets in hand, or is about to.
func (r *Reader) fetchRest() (packets int, quiet bool, err error) {
	for more := true; more && err == nil; {
		var n news
		if more, n, err = r.fetchSome(); err == nil {
			r.settle(&n)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.left {
		packets += len(b.rest())
	}
	return packets, r.users.Load() == 0, err
}

// fetchSome is fetchRest for one receive. It reports whether there was anything.
func (r *Reader) fetchSome() (more bool, n news, err error) {
	r.fetching.Lock()
	defer r.fetching.Unlock()
	b := r.borrow()
	err = r.conn.TryReceive(b.raw)
	more, n = b.taken > 0, b.news
	b.news = news{} // whoever receives the packets has no part in it
	r.giveUp(b)
	return more, n, err
}
