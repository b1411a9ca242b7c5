package nflog

import (
	"context"
	"errors"
	"iter"
	"net"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Packets iterates over the logged packets until ctx is done, the Reader is
// closed or the socket fails. The last pair then has no packet but the error,
// which is never nil: context.Cause(ctx), net.ErrClosed or the socket's. Losing
// packets ends nothing; see Config.OnError. A packet is valid until the next
// iteration, or once the loop has ended until the next use of the Reader; Clone
// keeps it longer.
//
// When ctx is done Packets unbinds the groups and yields what the kernel had
// collected before it yields the error, so that nothing of that is lost. The next
// Packets or Receive binds them again; what rules log in between goes nowhere, and
// is counted by nobody. Where there is no privilege to unbind, and with
// Config.Adopt, they stay bound, and Packets yields what has come.
//
// To lose nothing between two loops leave the first with break, or call Receive
// with SetReadDeadline: the groups stay bound then. A loop may be left by break,
// return or a panic: the packets that it has not seen are what the next Packets,
// Receive or TryReceive yields first. Packets that come meanwhile wait in the
// receive buffer.
//
// Several goroutines may range over Packets to share what comes, at the price
// of its order. The last one that is cancelled unbinds the groups, unless
// another waits in Receive.
func (r *Reader) Packets(ctx context.Context) iter.Seq2[*Packet, error] {
	r = r.orClosed()
	return func(yield func(*Packet, error) bool) {
		l := r.newLoop(ctx, yield)
		defer l.end()
		l.run()
	}
}

// A loop is one iteration over Packets.
type loop struct {
	r      *Reader
	ctx    context.Context
	yield  func(*Packet, error) bool
	from   *nfnl.Receiver
	buf    *buffer
	joined bool
}

// newLoop begins an iteration.
func (r *Reader) newLoop(ctx context.Context, yield func(*Packet, error) bool) *loop {
	l := &loop{r: r, ctx: ctx, yield: yield, joined: true}
	l.from = r.conn.Receiver(ctx)
	l.buf = r.borrow()
	r.join()
	return l
}

// end ends it, however the body was left: also by a panic or runtime.Goexit.
func (l *loop) end() {
	l.from.Close()
	l.r.giveUp(l.buf)
	if l.joined {
		l.r.leave()
	}
}

// run yields until there is an error to end with, or the body is left.
func (l *loop) run() {
	for l.ctx.Err() == nil {
		err := l.r.receive(l.from, &l.buf)
		if err != nil && l.ctx.Err() == nil {
			l.yield(nil, l.r.wrap(err))
			return
		}
		if !l.hand() {
			return
		}
	}
	if l.collect() {
		l.yield(nil, context.Cause(l.ctx))
	}
}

// hand yields the packets in the buffer, up to Close: what comes after that is
// for the caller to find out. It returns false if the body was left.
func (l *loop) hand() bool {
	for l.buf.next < len(l.buf.packets) && !l.r.closed.Load() {
		p := &l.buf.packets[l.buf.next]
		l.buf.next++
		if !l.yield(p, nil) {
			return false
		}
	}
	return true
}

// collect unbinds the groups and yields what is there then. Where they stay
// bound that is what has come so far, or there might be no end to it. It returns
// false if the body was left.
func (l *loop) collect() bool {
	l.joined = false
	last, unbound, err := l.r.leaveAndUnbind()
	if last {
		defer l.r.collected()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.r.report(l.r.wrap(err))
	}
	for last && l.more(unbound) {
		if !l.hand() {
			return false
		}
	}
	return true
}

// more fills the buffer with what is there, without waiting, or if all is false
// with what was taken off the socket. It returns false if that is nothing.
func (l *loop) more(all bool) bool {
	if left, _ := l.r.takeLeft(&l.buf); left {
		return true
	}
	if !all && l.r.conn.Buffered() == 0 {
		return false
	}
	return l.r.tryReceive(l.buf) == nil && len(l.buf.packets) > 0
}
