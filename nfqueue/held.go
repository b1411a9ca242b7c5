package nfqueue

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file, held_expiry.go and ticket.go are about the packets on which others
// than their handler may decide:
//
//	         +------------------------+  Hold   +--------------------+
//	receive  | in a batch             | HoldFor | held               |
//	-------->| begin        decide    |-------->| to a deadline, or  |
//	         |                        |         | for ever           |
//	         +------------------------+         +--------------------+
//	            |             |                    |
//	            |             +-> the verdict      +-> Ticket.SetVerdict, Queue.SetVerdict
//	            |                 of the handler   +-> the timer of HoldFor: its fallback
//	            |                                  +-> SetVerdictUpTo, SetVerdictAll, Shutdown
//	            +-> SetVerdict and its kin, before +-> Close: the kernel drops it
//	                the handler has returned
//
// A packet is in one of the two places, and is removed once: whoever removes it
// sends its verdict, and all others get ErrDecided. If that verdict cannot be
// sent the packet is listed again, as held. Verdicts are sent in the order in
// which they were given: those that handlers have returned are sent (flush)
// before a verdict from outside. In the batch of a Receive loop a verdict from
// outside keeps the packet's place and is sent with the batch (ticket_before_send.go).
//
// Held packets have two limits, their number and their bytes. Deadlines are in a
// heap with one timer a queue; the deadline of a packet that got another verdict
// stays in the heap.

// waiting lists these packets.
type waiting struct {
	newest atomic.Uint32 // ID of the last packet received, and so no older than any that is listed

	mu      sync.Mutex
	held    map[uint32]heldPacket
	bytes   int // of the held packets
	expiry  expiry
	timer   *time.Timer // fires when the first packet expires
	expire  func()
	batches []*Batch
	closed  bool
}

// A heldPacket is a packet that its handler answered with Hold.
type heldPacket struct {
	until time.Time // zero is for ever
	then  plain     // the verdict after that
	size  int       // in bytes; 0 is unknown
	id    uint32
	flags ticketFlags
}

// held returns t's packet, to be held for ever.
func (t *Ticket) held() heldPacket {
	return heldPacket{size: int(t.length), id: t.id, flags: t.flags}
}

// unknownWeight is the weight of a packet whose length is not known.
const unknownWeight = 64 << 10

// weight returns how many bytes p counts.
func (p *heldPacket) weight() int {
	if p.size == 0 {
		return unknownWeight
	}
	return p.size
}

// limits are how much may be held.
type limits struct{ packets, bytes int }

// init makes the list ready; expire is called when packets have expired.
func (w *waiting) init(expire func()) {
	w.held = map[uint32]heldPacket{}
	w.expire = expire
}

// hold lists a packet. It returns false if there are too many.
func (w *waiting) hold(p heldPacket, most limits) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) >= most.packets || p.weight() > most.bytes-w.bytes {
		return false
	}
	w.list(p)
	return true
}

// hold lists a packet as held, or gives it the fallback if that cannot be.
func (b *Batch) hold(t *Ticket, v *Verdict) (refused error) {
	b.endRun()
	held := t.held()
	held.then = v.plain
	held.then.action = v.then
	switch {
	case v.unusable():
		refused = ErrHoldFallback
	case v.then != ActionHold:
		held.until = time.Now().Add(v.hold)
		fallthrough
	default:
		if b.q.waiting.hold(held, b.q.limits()) {
			b.run.mine--
			return nil
		}
		refused = ErrTooManyHeld
	}
	b.load.add(t)
	b.out = b.q.appendRefused(b.out, t.id)
	b.run.queued++
	return refused
}

// list lists a packet. The lock is held.
func (w *waiting) list(p heldPacket) {
	if w.closed {
		return
	}
	w.held[p.id] = p
	w.bytes += p.weight()
	if p.until.IsZero() {
		return
	}
	if w.expiry.push(deadline{p.until, p.id}); w.expiry[0].id == p.id {
		w.arm()
	}
	if len(w.expiry) > 2*len(w.held)+minStale {
		w.expiry.keep(w.stands)
	}
}

// unlist takes a held packet off the list, if it is there. The lock is held.
func (w *waiting) unlist(id uint32) (heldPacket, bool) {
	p, ok := w.held[id]
	if ok {
		delete(w.held, id)
		w.bytes -= p.weight()
	}
	return p, ok
}

// restore lists packets again whose verdict could not be sent, as they were.
// Those that were taken from a handler are held for ever.
func (w *waiting) restore(packets ...heldPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range packets {
		w.list(p)
	}
}

// add lists the packets of b, as they are now.
func (w *waiting) add(b *Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.batches = append(w.batches, b)
	}
}

// flush sends the verdicts that handlers have returned, so that a verdict which is
// given after them does not overtake them.
func (w *waiting) flush() {
	var room [8]*Batch // no allocation for a usual number of Runs
	w.mu.Lock()
	batches := append(room[:0], w.batches...)
	w.mu.Unlock()
	for _, b := range batches {
		b.flushDecided()
	}
}

// older reports whether a packet was queued before another; both are on the list, or
// have been. The first may be held while IDs wrap around up to its own.
func (w *waiting) older(id, than uint32) bool {
	newest := w.newest.Load()
	return newest-id > newest-than
}

// remove takes b off the list.
func (w *waiting) remove(b *Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.batches, b); i >= 0 {
		w.batches = slices.Delete(w.batches, i, i+1)
	}
}

// claim takes a packet off the list, and returns the batch in which it was, nil if it
// was held. It returns ErrDecided if it is not there.
func (w *waiting) claim(id uint32) (heldPacket, *Batch, error) {
	p, b, err := w.claimHeld(id)
	if b == nil {
		return p, nil, err
	}
	if p, ok := b.claim(id); ok {
		return p, b, nil
	}
	// Its handler has returned in the meantime, perhaps with Hold.
	if p, b, err = w.claimHeld(id); b == nil {
		return p, nil, err
	}
	return p, nil, ErrDecided
}

// claimHeld takes a packet off the list if it is held, and else returns the
// batch that it is in, if any.
func (w *waiting) claimHeld(id uint32) (heldPacket, *Batch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.held == nil {
		return heldPacket{}, nil, net.ErrClosed
	}
	if p, ok := w.unlist(id); ok {
		return p, nil, nil
	}
	for _, b := range w.batches {
		if b.index(id) >= 0 {
			return heldPacket{}, b, nil
		}
	}
	return heldPacket{}, nil, ErrDecided
}

// count returns how many packets, and bytes of them, are held.
func (w *waiting) count() (packets, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held), w.bytes
}

// undecided returns how many packets are in batches and have no verdict.
func (w *waiting) undecided() (n int) {
	w.mu.Lock()
	batches := slices.Clone(w.batches)
	w.mu.Unlock()
	for _, b := range batches {
		n += b.countUndecided()
	}
	return n
}

// close empties the list for good.
func (w *waiting) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	clear(w.held)
	w.bytes, w.expiry, w.batches = 0, nil, nil
	if w.timer != nil {
		w.timer.Stop()
	}
}
