package nfqueue

import "fmt"

// Drain gives v to all packets that wait, whether held or not yet received.
// Take the rule away first, or they keep coming: Drain ends after as many as
// the queue can hold. Packets that a handler has meanwhile, or that a parked
// Run is about to get, are left to it.
func (q *Queue) Drain(v Verdict) error {
	if !v.fitsAny() {
		return fmt.Errorf("nfqueue %d: drain: %v is no verdict for many packets", q.number, v)
	}
	b := q.NewBatch()
	defer b.abandon()
	for n := uint64(0); n <= uint64(q.cfg().MaxLen); {
		held, err := q.drainHeld(v)
		if err != nil {
			return err
		}
		// Also what the kernel has to say of the last verdicts must be taken off
		// the socket, before it is full.
		if err := q.TryReceive(b); err != nil {
			return err
		}
		if held == 0 && len(b.Packets) == 0 {
			break
		}
		n += uint64(held + len(b.Packets))
		for i := range b.Verdicts {
			b.Verdicts[i] = v
		}
	}
	return q.Send(b)
}

// drainHeld gives v to held packets, as many as one send may carry, and
// returns how many. After an error they are held as before.
func (q *Queue) drainHeld(v Verdict) (int, error) {
	q.answering.RLock()
	defer q.answering.RUnlock()
	ids := q.waiting.take(maxBatch)
	var msgs []byte
	for _, id := range ids {
		msgs, _ = v.append(msgs, &Ticket{id: id, queue: q.number}, 0) // fits any, no error
	}
	if len(msgs) == 0 {
		return 0, nil
	}
	if err := q.conn.Send(msgs); err != nil {
		q.waiting.restore(ids...)
		return 0, q.wrap(fmt.Errorf("drain: %w", err))
	}
	q.waiting.sent(len(ids))
	return len(ids), nil
}
