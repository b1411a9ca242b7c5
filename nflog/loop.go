package nflog

import (
	"context"
	"iter"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// Packets iterates over the logged packets until ctx is done, the Reader is closed or
// the socket fails. The last iteration has a nil packet and an error, which is never
// nil: it is context.Cause(ctx), or wraps net.ErrClosed or the socket's error. Lost
// packets are not fatal; see Config.OnError. A packet is valid until the next
// iteration. The packet at which a loop is left is valid until the next use of the
// Reader. Use Clone to retain a packet.
//
// When ctx is done, Packets yields the packets it has received, and then the error.
// The groups stay bound, and packets logged later wait in the receive buffer for the
// next Packets or Receive. To stop without losing packets, call Shutdown while the
// loop runs.
//
// A loop may be left by break, return or a panic. The packets that were received and
// not yielded are returned first by the next Packets, Receive or TryReceive. Several
// goroutines may range over Packets to share the packets, which are then not in order.
func (r *Reader) Packets(ctx context.Context) iter.Seq2[*Packet, error] {
	r = r.orClosed()
	return func(yield func(*Packet, error) bool) {
		if ctx == nil {
			yield(nil, r.wrap(errNoContext))
			return
		}
		l := r.newLoop(ctx, yield)
		defer l.end()
		l.run()
	}
}

// A loop is one iteration over Packets.
type loop struct {
	r     *Reader
	ctx   context.Context
	yield func(*Packet, error) bool
	from  *engine.Receiver
	buf   *buffer
}

// newLoop begins an iteration.
func (r *Reader) newLoop(ctx context.Context, yield func(*Packet, error) bool) *loop {
	r.users.Add(1)
	return &loop{r: r, ctx: ctx, yield: yield, from: r.conn.Receiver(ctx), buf: r.borrow()}
}

// end ends it, however the body was left: also by a panic or runtime.Goexit.
func (l *loop) end() {
	l.from.Close()
	if l.r.giveUp(l.buf) {
		l.r.conn.Wake() // for a program that polls the descriptor
	}
	l.r.leave()
}

// run yields until there is an error to end with, or the body is left.
func (l *loop) run() {
	for l.ctx.Err() == nil {
		if err := l.r.receive(l.from, &l.buf); err != nil && l.ctx.Err() == nil {
			l.yield(nil, l.r.wrap(err))
			return
		}
		if !l.hand() {
			return
		}
	}
	l.yield(nil, context.Cause(l.ctx))
}

// hand yields the packets in the buffer, until Close is called. It returns false if
// the body was left.
func (l *loop) hand() bool {
	for l.buf.next < len(l.buf.packets) && !l.r.closed.Load() {
		p := &l.buf.packets[l.buf.next]
		l.buf.next++
		if !l.yield(p, nil) {
			return false
		}
	}
	l.r.discard(l.buf)
	return true
}
