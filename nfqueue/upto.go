package nfqueue

import (
	"fmt"
	"net"
	"slices"

	"github.com/nfpacket/nfpacket/nfnl"
)

// This file gives one verdict to many packets, with one message of the kernel's
// NFQNL_MSG_VERDICT_BATCH: to all that wait, up to an ID.

// A run is a row of packets of one batch with the same verdict.
type run struct {
	v    plain
	last uint32 // ID of the last packet
	n    int
}

// alone reports whether the caller, a Run that has just received, is the only
// one with packets that have no verdict: all that wait up to an ID it has are
// then its own. Somebody who starts to receive later gets later packets.
func (q *Queue) alone() bool { return !q.strays.Load() && q.receivers.Load() == 1 }

// join gives v to the packet as part of a run. The lock is held.
func (b *Batch) join(v *plain, id uint32) {
	if b.run.n > 0 && b.run.v != *v {
		b.endRun()
	}
	if b.run.n == 0 {
		b.run.v = *v
	}
	b.run.last = id
	b.run.n++
}

// endRun adds the verdicts of the run to out. The lock is held.
func (b *Batch) endRun() {
	v := Verdict{plain: b.run.v}
	switch t := (&Ticket{id: b.run.last, queue: b.q.number}); b.run.n {
	case 0:
		return
	case 1:
		b.out, _ = v.append(b.out, t, 0) // fits any, no error
	default:
		b.out = v.appendUpTo(b.out, t, b.run.n)
	}
	b.run.n = 0
}

// appendUpTo appends the message that gives v to all packets that wait, up to
// and including t's: n, as far as is known. That stands in for a port ID, which
// the kernel ignores but echoes when it finds none of them.
func (v *Verdict) appendUpTo(b []byte, t *Ticket, n int) []byte {
	start := len(b)
	return nfnl.End(v.begin(b, typeVerdictBatch, t, uint32(n)), start)
}

// SetVerdictUpTo decides on every packet without a verdict up to and including
// the one with the ID: on held ones, on those that a handler has or is yet to
// get, whose verdict is then ignored, and on those not received yet. v can have a
// mark and a priority, but nothing that fits only some of them. There need be no
// packet with the ID, nor any up to it: nothing happens then, and that is no
// error.
func (q *Queue) SetVerdictUpTo(id uint32, v Verdict) error {
	if !v.fitsAny() {
		return fmt.Errorf("nfqueue %d: packets up to %d: %v is no verdict for many packets", q.number, id, v)
	}
	q.answering.Lock()
	defer q.answering.Unlock()
	claimed, err := q.waiting.claimUpTo(id)
	if err != nil {
		return q.wrap(err)
	}
	if err := q.conn.Send(v.appendUpTo(nil, &Ticket{id: id, queue: q.number}, len(claimed))); err != nil {
		q.waiting.restore(claimed...)
		return q.wrap(fmt.Errorf("packets up to %d: %w", id, err))
	}
	// Also what was received, and held, while this one was under way.
	q.waiting.sent(len(claimed) + len(q.waiting.takeUpTo(id)))
	return nil
}

// claimUpTo takes all packets up to an ID off the list.
func (w *waiting) claimUpTo(last uint32) ([]heldPacket, error) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil, net.ErrClosed
	}
	batches := slices.Clone(w.batches)
	w.mu.Unlock()
	var claimed []heldPacket
	for _, b := range batches {
		claimed = b.claimUpTo(claimed, last)
	}
	// Held ones last: a handler may have returned Hold in the meantime.
	return append(claimed, w.takeUpTo(last)...), nil
}

// claimUpTo takes packets from their handlers. Verdicts that were decided before
// are sent before.
func (b *Batch) claimUpTo(claimed []heldPacket, last uint32) []heldPacket {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.flush()
	}
	for i := b.next; b.open && i < len(b.tickets); i++ {
		if t := &b.tickets[i]; !b.early[i] && !after(t.id, last) {
			b.early[i] = true
			b.q.waiting.unsettled.Add(1)
			claimed = append(claimed, t.held())
		}
	}
	return claimed
}

// after reports whether a came after b, though IDs wrap.
func after(a, b uint32) bool { return int32(a-b) > 0 }
