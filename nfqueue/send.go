package nfqueue

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// send sends verdicts on packets that are l. One that does not fit the send buffer is
// replaced by the fallback, and added to refused; those after it are sent.
func (q *Queue) send(msgs []byte, l *load, refused *problems) error {
	var err error
	if held, _ := q.waiting.count(); l.short(msgs, held) {
		err = q.stats.counting(msgs, q.conn.SendShort)
	} else {
		err = q.stats.counting(msgs, q.conn.Send)
	}
	for errors.Is(err, syscall.EMSGSIZE) {
		if at := (*engine.SendError)(nil); errors.As(err, &at) {
			msgs = msgs[at.Sent:]
		}
		m, rest, _ := engine.Next(msgs) // of our own making
		if err = q.sendOne(&m, msgs[:len(msgs)-len(rest)], refused); err != nil || len(rest) == 0 {
			return err
		}
		msgs = rest
		err = q.stats.counting(msgs, q.conn.Send)
	}
	return err
}

// sendOne sends one verdict, or the fallback if it is too long.
func (q *Queue) sendOne(m *engine.Message, msg []byte, refused *problems) error {
	tooLong := q.stats.counting(msg, q.conn.Send)
	if !errors.Is(tooLong, syscall.EMSGSIZE) {
		return tooLong
	}
	refused.addRefused(m.Seq, tooLong)
	err := q.stats.counting(q.appendRefused(nil, m.Seq), q.conn.Send)
	if err == nil && m.PortID == ackedPort {
		q.ranges.answered(1)
	}
	return err
}

// A load describes the packets whose verdicts are sent with one call. The rest of the
// packets' way through the kernel is part of that call.
type load struct {
	packets int
	bytes   uint64
}

// add adds t's packet.
func (l *load) add(t *Ticket) {
	l.packets++
	l.bytes += uint64(t.length)
}

// Up to these limits the kernel takes about as long as for the receive of a batch, of
// which Go's scheduler is not notified either.
const (
	shortPackets = defaultBatch
	shortBytes   = 128 << 10 // of the packets and their verdicts
	shortSteps   = 8 << 10   // past packets that are held, on a kernel that walks a list: some 6 ns each
)

// short reports whether the send takes the kernel so little time that the garbage
// collector can wait for it. The kernel may have to search for each packet, past
// those that are held.
func (l *load) short(msgs []byte, held int) bool {
	return l.packets <= shortPackets && l.bytes+uint64(len(msgs)) <= shortBytes && l.packets*held <= shortSteps
}

// fallbackPort is the port ID in verdicts that are a fallback. The kernel
// ignores it but echoes it, so that a refused fallback is not sent again.
const fallbackPort = 1

// fallBack gives Config.Fallback to packets that get no other verdict.
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
