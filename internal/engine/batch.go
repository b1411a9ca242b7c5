package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A Batch holds the buffers of one Receive; NewBatch makes it. It can be reused;
// concurrent calls of Receive need a Batch each.
type Batch struct {
	used  atomic.Bool // by a receive
	over  atomic.Bool // Release was called
	take  func(Message, error)
	runs  func(msgs []byte) (rest []byte, taken int) // before take, if set
	size  int                                        // of a slot's buffer, in bytes
	slots []slot

	memory *region // of the buffers
	n      int     // datagrams of the last receive
	sys    system

	waiter *Receiver     // of this receive
	busy   time.Duration // for which it polls
}

// A slot is the place for one datagram.
type slot struct {
	buf     []byte
	got     []byte // the datagram: in buf, or a copy that a Request kept
	cut     bool   // the datagram was longer than buf
	foreign bool   // another program sent it, not the kernel
	after   func() // called after the datagram was delivered
}

// stagger is added to the distance of two buffers, so that their beginnings,
// the part that is always read, do not compete for the same cache lines.
const stagger = 5 * 64

// errForeign is passed to take without the message, errCut with the part of it that
// was received.
var (
	errForeign = fmt.Errorf("%w: sent by another program, not by the kernel", ErrMalformed)
	errCut     = fmt.Errorf("%w: the datagram was longer than the buffer", ErrMalformed)
)

// errNoContext is the error of Receive for a Receiver with a nil context.
var errNoContext = errors.New("nfnl: a Receiver needs a context, not nil")

// errNoBatch is the error of Receive for a Batch without a take.
var errNoBatch = errors.New("nfnl: the Batch was not made by NewBatch, with a function to take messages")

// errBatchInUse is the error of the second of two receives with one Batch.
var errBatchInUse = errors.New("nfnl: another goroutine receives with this Batch: each needs one of its own")

// use reports whether the Batch was free. If so, it is the caller's until unuse.
func (b *Batch) use() bool { return b.used.CompareAndSwap(false, true) }
func (b *Batch) unuse() {
	b.used.Store(false)
	if b.over.Load() && b.use() {
		b.free()
		b.used.Store(false)
	}
}

// NewBatch returns a Batch for n datagrams of up to size bytes each; an n below 1
// means 1. Memory is touched only as packets need it. On Linux it is not part of the Go
// heap, and is reused when the Batch is no longer reachable: keep the Batch reachable
// while its messages are used.
//
// Each message that is not a reply to a Request is passed to take, unless the
// function of TakeRuns has taken it, in the order in which the kernel sent it. take
// is called once at a time, across all batches of a Conn. m is valid until the next
// Receive with the same Batch. If err is not nil, it wraps ErrMalformed, and m holds
// the part that could be parsed. take must not call methods of the Conn that receive,
// nor Request.
func NewBatch(n, size int, take func(m Message, err error)) *Batch {
	b := &Batch{take: take, slots: make([]slot, max(n, 1))}
	b.resize(size)
	return b
}

// TakeRuns makes f take messages before the function passed to NewBatch does, many of
// a datagram in one call. f gets the messages of a datagram. It takes as many from
// their beginning as it can, and returns the rest and the number taken. The first
// message of the rest is passed to the function of NewBatch, and f is called again
// with those after it.
//
// The messages are not verified before: f must leave those that it cannot parse, and
// every message with a Type below 16, which may be the answer to a Request. The rules
// of NewBatch for take apply to f too. Call TakeRuns before the first Receive.
func (b *Batch) TakeRuns(f func(msgs []byte) (rest []byte, taken int)) { b.runs = f }

// Release lets other Batches use b's memory, without waiting until b is garbage. The
// messages of b are no longer valid, and b can no longer be used to receive. A
// receive in progress keeps the memory until it returns.
func (b *Batch) Release() {
	b.over.Store(true)
	if b.use() {
		b.unuse()
	}
}

// free is Release for a Batch with which no receive is in progress.
func (b *Batch) free() {
	if b.memory == nil {
		return
	}
	b.reset()
	b.take = nil
	for i := range b.slots {
		b.slots[i] = slot{}
	}
	b.sys = system{}
	b.memory.release()
}

// resize makes new buffers. The datagrams of the last receive stay in the old ones.
func (b *Batch) resize(size int) {
	b.size = size
	stride := (size+63)&^63 + stagger
	b.memory = newRegion(len(b.slots) * stride)
	room := b.memory.bytes
	for i := range b.slots {
		at := i * stride
		b.slots[i].buf = room[at : at+size : at+size]
	}
	b.sys.prepare(b.slots)
}

// reset forgets the datagrams of the last receive. In race builds it overwrites it,
// so that a slice kept too long shows up as garbage at once.
func (b *Batch) reset() {
	if raceEnabled {
		for i := range b.slots[:b.n] {
			poison(b.slots[i].got)
		}
	}
	b.n = 0
}

// poison overwrites b.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

// deliver hands what was received to take, but for answers to requests of c,
// which go to whoever waits for them. It returns how many messages take saw.
func (b *Batch) deliver(c *Conn) (taken int) {
	var m Message
	for i := range b.slots[:b.n] {
		s := &b.slots[i]
		taken += b.deliverSlot(c, s, &m)
		if s.after != nil {
			s.after()
			s.after = nil
		}
	}
	return taken
}

// deliverSlot is deliver for one datagram; m is for its use.
func (b *Batch) deliverSlot(c *Conn, s *slot, m *Message) (taken int) {
	if s.foreign {
		b.take(Message{}, errForeign)
		return 1
	}
	cut := s.cut
	for rest := s.got; len(rest) > 0; {
		if b.runs != nil {
			var n int
			rest, n = b.runs(rest)
			taken += n
		}
		if len(rest) == 0 {
			break
		}
		var err error
		rest, err = m.parse(rest)
		if err != nil && cut {
			cut, err = false, errCut
		}
		switch {
		case m.Type == typeError && c.answer(*m):
		case err == nil && (m.Type == typeNoop || m.Type == typeDone):
		default:
			b.take(*m, err)
			taken++
		}
	}
	if cut { // between two messages, or there was no room at all
		b.take(Message{}, errCut)
		taken++
	}
	return taken
}
