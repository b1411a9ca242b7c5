package nfqueue

import "fmt"

// fallbackPort is the port ID in verdicts that are a fallback. The kernel
// ignores it but echoes it, so that a refused fallback is not sent again.
const fallbackPort = 1

// fallBack gives Config.Fallback to packets that nothing else answers.
func (q *Queue) fallBack(ids []uint32) error {
	if len(ids) == 0 {
		return nil
	}
	var msgs []byte
	for _, id := range ids {
		msgs = q.appendFallback(msgs, id)
	}
	if err := q.stats.counting(msgs, q.conn.Send); err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	q.ranges.answered(len(ids))
	return nil
}

// appendVerdict appends v on a packet, or the fallback and returns why v is
// refused.
func (q *Queue) appendVerdict(b []byte, t *Ticket, v *Verdict) ([]byte, error) {
	b, err := v.append(b, t, q.ranges.port(v))
	if err != nil {
		return q.appendRefused(b, t.id), err
	}
	return b, nil
}

// appendRefused appends the fallback in place of a verdict that this package
// refuses, which it counts.
func (q *Queue) appendRefused(b []byte, id uint32) []byte {
	q.stats.refused.Add(1)
	return q.appendFallback(b, id)
}

// appendFallback appends Config.Fallback on a packet.
func (q *Queue) appendFallback(b []byte, id uint32) []byte {
	q.stats.fallbacks.Add(1)
	b, _ = q.cfg().Fallback.append(b, &Ticket{id: id, queue: q.number}, fallbackPort) // fits any, no error
	return b
}
