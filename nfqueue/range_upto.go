package nfqueue

import (
	"fmt"
	"iter"
	"net"
	"slices"
)

// SetVerdictUpTo gives v to all packets without a verdict, up to and including the
// packet with the given ID: held packets, packets not yet received, and packets that a
// handler has not decided on (its verdict is then ignored). v can have a mark and a
// priority, but no other change. It is not an error if there is no such packet. If
// SetVerdictUpTo returns an error (v is refused, the queue is closed, or sending
// failed), packets may still wait.
//
// Packets not yet received are still delivered to a handler. Its verdict on them is too
// late (ErrPacketGone). If it returns Hold, the packet counts as held until the program
// or HoldFor decides on it.
//
// The kernel starts at the oldest packet and stops at the first with a later ID. IDs
// wrap around to 0. Therefore x is later than id if int32(x-id) > 0.
func (q *Queue) SetVerdictUpTo(id uint32, v Verdict) error {
	q = q.orClosed()
	if !v.fitsAny() {
		return fmt.Errorf("nfqueue %d: packets up to %d: verdict %v cannot be applied to multiple packets", q.number, id, v)
	}
	q.answering.Lock()
	defer q.answering.Unlock()
	r := reach{w: &q.waiting, last: id}
	if err := q.decideUpTo(&r, &v, false); err != nil {
		return q.wrap(err)
	}
	// A packet that was received and held meanwhile may have been queued after the
	// kernel had searched the queue.
	late, ok := q.waiting.newestHeld(&r)
	if !ok {
		return nil
	}
	return q.wrap(q.decideUpTo(&reach{w: &q.waiting, last: late}, &v, true))
}

// decideUpTo gives v to the packets that r reaches. When it is called again, the
// kernel need not find any of them, because they may have the verdict already: that
// is not counted.
func (q *Queue) decideUpTo(r *reach, v *Verdict, again bool) error {
	claimed, err := q.waiting.claimUpTo(r)
	if err != nil {
		return err
	}
	n := len(claimed)
	if again {
		n = 0
	}
	msg := v.appendUpTo(nil, &Ticket{id: r.last, queue: q.number}, n)
	if err := q.stats.counting(msg, q.conn.Send); err != nil {
		q.waiting.restore(claimed...)
		return fmt.Errorf("packets up to %d: %w", r.last, err)
	}
	q.ranges.answered(len(claimed))
	q.inherited.decidedUpTo(r.last)
	return nil
}

// A reach is the packets to which the kernel gives a verdict up to an ID: from
// the oldest on, until the first whose ID is later (nfqnl_recv_verdict_batch).
// Packets queued after that one do not get the verdict, even if their ID is not
// later because IDs have wrapped.
type reach struct {
	w       *waiting
	all     bool   // whatever the ID
	last    uint32 // the ID
	stop    uint32 // of the packet to stop at
	stopped bool   // there is such a packet
}

// see looks at a packet that waits: it may be the one to stop at.
func (r *reach) see(id uint32) {
	if after(id, r.last) && (!r.stopped || r.w.older(id, r.stop)) {
		r.stop, r.stopped = id, true
	}
}

// has reports whether the packet, which waits, gets the verdict. All must have
// been seen.
func (r *reach) has(id uint32) bool {
	return r.all || !after(id, r.last) && (!r.stopped || r.w.older(id, r.stop))
}

// claimUpTo takes the packets that r reaches off the list.
func (w *waiting) claimUpTo(r *reach) ([]heldPacket, error) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil, net.ErrClosed
	}
	batches := slices.Clone(w.batches)
	w.mu.Unlock()
	// Held ones last: a handler may have returned Hold in the meantime.
	for _, b := range batches {
		b.show(r)
	}
	w.show(r)
	var claimed []heldPacket
	for _, b := range batches {
		var err error
		if claimed, err = b.claimUpTo(claimed, r); err != nil {
			w.restore(claimed...)
			return nil, err
		}
	}
	return append(claimed, w.takeUpTo(r)...), nil
}

// show lets r see the held packets.
func (w *waiting) show(r *reach) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.held {
		r.see(id)
	}
}

// takeUpTo takes the held packets that r reaches off the list.
func (w *waiting) takeUpTo(r *reach) (taken []heldPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.held {
		if r.has(id) {
			p, _ := w.unlist(id)
			taken = append(taken, p)
		}
	}
	return taken
}

// newestHeld returns the last of the held packets that r reaches, if there is one.
func (w *waiting) newestHeld(r *reach) (id uint32, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for held := range w.held {
		if r.has(held) && (!ok || w.older(id, held)) {
			id, ok = held, true
		}
	}
	return id, ok
}

// show lets r see the packets that wait for their handlers.
func (b *Batch) show(r *reach) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.undecided() {
		r.see(b.tickets[i].id)
	}
	for _, a := range b.answers.list {
		r.see(b.tickets[a.place].id)
	}
}

// claimUpTo takes packets from their handlers. Verdicts that were given before are sent
// before. If that fails nothing is taken: the verdict on all that wait would reach those
// packets too.
func (b *Batch) claimUpTo(claimed []heldPacket, r *reach) ([]heldPacket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.placeAnswers(r)
		if err := b.flush(); err != nil {
			return claimed, err
		}
	}
	for i := range b.undecided() {
		if t := &b.tickets[i]; r.has(t.id) {
			b.early[i] = true
			b.run.mine--
			claimed = append(claimed, t.held())
		}
	}
	return claimed, nil
}

// undecided iterates over the places of the packets that have no verdict, from
// their handler or by their ticket. The lock is held.
func (b *Batch) undecided() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := b.next; b.open && i < len(b.tickets); i++ {
			if !b.early[i] && !yield(i) {
				return
			}
		}
	}
}

// after is the kernel's nfq_id_after.
func after(id, last uint32) bool { return int32(id-last) > 0 }
