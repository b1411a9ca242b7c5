package nfqueue

import "fmt"

// Drain gives v to all packets that wait, whether held or not yet received.
// Take the rule away first, or they keep coming: Drain ends after as many as
// the queue can hold. Packets that a handler has meanwhile, or that a parked
// Run is about to get, are left to it, and those whose verdict could not be sent
// to SetVerdictUpTo.
func (q *Queue) Drain(v Verdict) error {
	q = q.orClosed()
	if !v.fitsAny() {
		return fmt.Errorf("nfqueue %d: drain: %v is no verdict for many packets", q.number, v)
	}
	b := q.NewBatch()
	defer b.abandon()
	var ids []uint32 // kernels before 7.0 look for each from the oldest on
	for n := uint64(0); n <= uint64(q.cfg().MaxLen); {
		if len(ids) == 0 {
			ids = q.waiting.ids()
		}
		piece := ids[:min(len(ids), maxBatch)]
		ids = ids[len(piece):]
		if err := q.drainHeld(piece, v); err != nil {
			return err
		}
		// Also what the kernel has to say of the last verdicts must be taken off
		// the socket, before it is full.
		if err := q.TryReceive(b); err != nil {
			return err
		}
		if len(piece) == 0 && len(b.Packets) == 0 {
			break
		}
		n += uint64(len(piece) + len(b.Packets))
		for i := range b.Verdicts {
			b.Verdicts[i] = v
		}
	}
	return q.Send(b)
}

// drainHeld gives v to those of the packets that are held. After an error they
// are held as before.
func (q *Queue) drainHeld(ids []uint32, v Verdict) error {
	q.answering.RLock()
	defer q.answering.RUnlock()
	taken := q.waiting.take(ids)
	var msgs []byte
	for _, p := range taken {
		msgs, _ = v.append(msgs, &Ticket{id: p.id, queue: q.number}, 0) // fits any, no error
	}
	if len(msgs) == 0 {
		return nil
	}
	if err := q.conn.Send(msgs); err != nil {
		q.waiting.restore(taken...)
		return q.wrap(fmt.Errorf("drain: %w", err))
	}
	q.waiting.sent(len(taken))
	return nil
}
