package nfqueue

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Stats are counts since Open. Every packet that the kernel queued is in
// Packets, Malformed or Lost, or still on the socket; packets that found the
// queue full are counted by the kernel alone.
type Stats struct {
	Packets   uint64 // handed over
	Lost      uint64 // found no room on the socket, and were dropped or bypassed
	Bypassed  uint64 // of Lost: let through uninspected, since Config.FailOpen is set
	Malformed uint64 // messages that could not be parsed
	Refused   uint64 // verdicts refused, by this package or by the kernel
	Gone      uint64 // verdicts for packets the kernel no longer had
	Fallbacks uint64 // packets that got Config.Fallback
	Held      int    // packets held now

	ReadBuffer  int    // the receive buffer granted, in bytes; see nfnl.Conn.ReadBuffer
	SocketDrops uint32 // datagrams that found no room; more than Lost if answers are among them
}

// counters are what Stats is made of.
type counters struct {
	packets, lost, bypassed, malformed, refused, gone, fallbacks atomic.Uint64
}

// Stats returns counts since Open.
func (q *Queue) Stats() Stats {
	c := &q.stats
	return Stats{
		Packets:     c.packets.Load(),
		Lost:        c.lost.Load(),
		Bypassed:    c.bypassed.Load(),
		Malformed:   c.malformed.Load(),
		Refused:     c.refused.Load(),
		Gone:        c.gone.Load(),
		Fallbacks:   c.fallbacks.Load(),
		Held:        q.waiting.count(),
		ReadBuffer:  q.conn.ReadBuffer(),
		SocketDrops: q.conn.Drops(),
	}
}

// gap counts the IDs between the last packet and this one: the kernel gives
// IDs in order, also to packets that find no room on the socket. An ID from
// the past is no gap.
func (q *Queue) gap(id uint32) uint32 {
	lost := id - q.lastID - 1
	if !q.counted || lost >= 1<<31 {
		lost = 0
	}
	q.lastID, q.counted = id, true
	return lost
}

// settle does what a receive has left to do once others may receive: it counts,
// reports, and answers packets that no handler can.
func (q *Queue) settle(b *Batch) error {
	q.stats.packets.Add(uint64(len(b.Packets)))
	b.begin()
	n := &b.news
	if n.lost > 0 {
		q.stats.lost.Add(n.lost)
		if q.cfg.FailOpen {
			q.stats.bypassed.Add(n.lost)
		}
		q.report(q.wrap(&nfnl.OverrunError{Lost: n.lost, Bypassed: q.cfg.FailOpen}))
	}
	q.stats.malformed.Add(uint64(len(n.malformed)))
	for _, err := range n.malformed {
		q.report(q.wrap(err))
	}
	q.stats.refused.Add(uint64(len(n.refused)))
	for _, err := range n.refused {
		q.report(q.wrap(err))
	}
	if n.gone > 0 {
		q.stats.gone.Add(uint64(n.gone))
		q.report(q.wrap(fmt.Errorf("%d verdicts: %w", n.gone, ErrPacketGone)))
	}
	return errors.Join(n.fatal, q.fallBack(n.answer))
}

// fallBack gives Config.Fallback to packets that nothing else answers.
func (q *Queue) fallBack(ids []uint32) error {
	if len(ids) == 0 {
		return nil
	}
	var msgs []byte
	for _, id := range ids {
		msgs = q.appendFallback(msgs, id)
	}
	return q.conn.Send(msgs)
}

// appendFallback appends Config.Fallback on a packet.
func (q *Queue) appendFallback(b []byte, id uint32) []byte {
	q.stats.fallbacks.Add(1)
	b, _ = q.cfg.Fallback.append(b, Ticket{id: id, queue: q.cfg.Queue}, fallbackPort) // no payload, no error
	return b
}

// refuse counts a verdict that this package refuses, and names the packet.
func (q *Queue) refuse(id uint32, err error) error {
	q.stats.refused.Add(1)
	return q.wrap(fmt.Errorf("packet %d got the fallback: %w", id, err))
}

// report tells OnError.
func (q *Queue) report(err error) {
	if q.cfg.OnError != nil {
		q.cfg.OnError(err)
	}
}

// explain adds to the kernel's refusal of the configuration what to do about it.
func (q *Queue) explain(err error) error {
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("%w: this kernel knows not all of the flags set by Config.Conntrack, SecurityContext and Flags", err)
	}
	return q.conn.Explain(err, nfnl.SubsystemQueue, "nfnetlink_queue", ErrTaken)
}
