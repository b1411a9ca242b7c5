package nfqueue

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// news is what a receive learned besides packets.
type news struct {
	seen      int // messages of all kinds
	lost      uint64
	bypassed  uint64   // of lost
	malformed int      // messages that could not be parsed
	refused   int      // verdicts that the kernel refused
	gone      int      // verdicts that were too late
	answer    []uint32 // IDs of packets that only Fallback can answer
	fatal     error
}

// clear forgets it.
func (n *news) clear() {
	*n = news{answer: n.answer[:0]}
}

// receive waits for packets.
func (q *Queue) receive(r interface{ Receive(*engine.Batch) error }, b *Batch) error {
	for {
		b.clear()
		if err := r.Receive(b.raw); err != nil {
			return err
		}
		if err := q.settle(b); err != nil || len(b.Packets) > 0 {
			return err
		}
	}
}

// tryReceive does not.
func (q *Queue) tryReceive(b *Batch) error {
	for {
		b.clear()
		if err := q.conn.TryReceive(b.raw); err != nil {
			return err
		}
		err := q.settle(b)
		if err != nil || len(b.Packets) > 0 || b.news.seen == 0 {
			return err
		}
		// There were only answers, and packets may follow them.
	}
}

// take sorts one message of the kernel.
func (b *Batch) take(m engine.Message, err error) {
	b.begun()
	b.news.seen++
	if m.Type == typePacket && m.Resource == b.q.number {
		b.takePacket(&m, err)
		return
	}
	if reply, ok := m.Reply(); ok {
		b.takeReply(reply)
		return
	}
	if err == nil {
		err = fmt.Errorf("%w: type %#04x, resource %d", nfnl.ErrMalformed, uint16(m.Type), m.Resource)
	}
	b.news.malformed++
	b.problems.addMessage(err)
}

// takeRun takes the packet that msgs, a datagram, begins with, unless anything is
// wrong with it: take deals with that. It is there for speed.
func (b *Batch) takeRun(msgs []byte) (rest []byte, taken int) {
	n := nlattr.MessageLen(msgs, typePacket, b.q.number)
	if n == 0 {
		return msgs, 0
	}
	p := b.room()
	found, err := p.decode(nlattr.Family(msgs), msgs[nlattr.MessageHeaderLen:n:n])
	if !found || err != nil {
		return msgs, 0
	}
	b.begun()
	b.add(p)
	b.news.seen++
	return msgs[min(nlattr.Align(n), len(msgs)):], 1
}

// takePacket adds a packet, or notes that it needs the fallback.
func (b *Batch) takePacket(m *engine.Message, err error) {
	p := b.room()
	found, wrong := p.decode(m.Family, m.Attrs)
	if err == nil {
		err = wrong
	}
	switch {
	case found && err == nil:
		b.add(p)
		return
	case found:
		b.q.inherited.received(p.ID)
		b.q.ranges.received()
		b.news.answer = append(b.news.answer, p.ID)
		b.lose(p.ID)
		b.problems.addPacket(p.ID, 1, err)
	default:
		b.q.ranges.forbid()
		if err == nil {
			err = errNoHeader
		}
		b.problems.addMessage(err)
	}
	b.news.malformed++
}

// room returns the place for the next packet, which is one of b's once it is
// added.
func (b *Batch) room() *Packet {
	n := len(b.Packets)
	if n == cap(b.Packets) {
		b.Packets = append(b.Packets, Packet{})[:n]
	}
	p := &b.Packets[:n+1][n]
	p.q, p.from, p.Queue = b.q, b.raw, b.q.number
	return p
}

// add adds the packet in the place that room returned.
func (b *Batch) add(p *Packet) {
	b.Packets = b.Packets[:len(b.Packets)+1]
	b.q.taken++
	b.q.inherited.received(p.ID)
	b.q.ranges.received()
	b.lose(p.ID)
}

// lose notes how many packets were lost before the one with the ID.
func (b *Batch) lose(id uint32) {
	n := uint64(b.q.gap(id))
	if n == 0 && !b.q.bypass.changing {
		return
	}
	b.news.lost += n
	if b.q.bypass.next() {
		b.news.bypassed += n
	}
}

// gap counts the IDs between the last packet and this one: the kernel gives
// IDs in order, also to packets that find no room on the socket. An ID from
// the past is no gap.
func (q *Queue) gap(id uint32) uint32 {
	lost := id - q.waiting.newest.Load() - 1
	if !q.counted || lost >= 1<<31 {
		lost = 0
	}
	q.waiting.newest.Store(id)
	q.counted = true
	return lost
}

// takeReply notes the kernel's answer to a verdict. Answers to requests come here
// when nobody waits for them: the request was repeated, and had its answer.
func (b *Batch) takeReply(r engine.Reply) {
	if r.Type != typeVerdict && r.Type != typeVerdictBatch || r.PortID == allPort {
		return
	}
	acked := r.PortID == ackedPort && r.Type == typeVerdict
	if acked && (r.Errno == 0 || r.Errno == syscall.ENOENT) {
		b.q.ranges.answered(1)
	}
	switch r.Errno {
	case 0:
	case syscall.ENOENT:
		n := 1
		if r.Type == typeVerdictBatch {
			n = int(r.PortID) // see appendUpTo
		}
		if n > 0 {
			b.news.gone += n
			b.problems.addPacket(r.Seq, n, ErrPacketGone)
		}
	case syscall.EPERM, syscall.ENODEV:
		b.q.ranges.forbid()
		b.news.fatal = fmt.Errorf("verdict: %w", r.Err())
	default:
		if !acked { // else it counts as unanswered until it has the fallback
			b.q.ranges.forbid()
		}
		b.news.refused++
		b.problems.addPacket(r.Seq, 1, fmt.Errorf("the kernel refused the verdict: %w", r.Err()))
		if r.Type == typeVerdict && r.PortID != fallbackPort {
			b.news.answer = append(b.news.answer, r.Seq)
		}
	}
}

// settle does the rest of a receive, after it has let others receive: it gives the
// fallback to packets for which no handler can be called, counts and reports.
func (q *Queue) settle(b *Batch) error {
	b.begin()
	n := &b.news
	err := errors.Join(n.fatal, q.fallBack(n.answer))
	if n := len(b.Packets); n > 0 {
		q.stats.packets.Add(uint64(n))
		q.stats.bytes.Add(b.bytes)
	}
	q.stats.malformed.Add(uint64(n.malformed))
	q.stats.refused.Add(uint64(n.refused))
	q.stats.gone.Add(uint64(n.gone))
	if n.lost > 0 {
		q.lose(n.lost, n.bypassed)
	}
	q.watchFull()
	q.tell(&b.problems)
	return err
}

// lose counts and reports lost packets.
func (q *Queue) lose(n, bypassed uint64) {
	q.stats.lost.Add(n)
	q.stats.bypassed.Add(bypassed)
	if dropped := n - bypassed; dropped > 0 {
		q.report(&nfnl.OverrunError{Lost: dropped})
	}
	if bypassed > 0 {
		q.report(&nfnl.OverrunError{Lost: bypassed, Bypassed: true})
	}
}

// bypass knows whether lost packets were accepted uninspected. The setting at the
// time when they arrived decides, not the one at the time when the gap is found.
// The Conn guards it, as it does Queue.counted.
type bypass struct {
	on       bool // for what was lost before the next packet
	will     bool // for what is lost after it, if changing
	changing bool
}

// change is called at the place of the kernel's answer to Configure among the
// packets. Packets missing there were lost before it, because there was room for the
// answer.
func (y *bypass) change(failOpen bool) { y.will, y.changing = failOpen, true }

// next reports whether the packets lost before this one were accepted.
func (y *bypass) next() bool {
	was := y.on
	if y.changing {
		y.on, y.changing = y.will, false
	}
	return was
}
