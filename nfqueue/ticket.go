package nfqueue

import (
	"errors"
	"fmt"

	"github.com/nfpacket/nfpacket/nfnl"
)

// A Ticket identifies a packet whose verdict is given later. It is a small value that
// can be copied, and it may be used when the Packet is no longer valid. The methods of
// the zero Ticket return net.ErrClosed.
type Ticket struct {
	q      *Queue
	id     uint32
	length uint32 // of the whole packet
	queue  uint16
	proto  uint16

	linkLen uint16 // of the link header
	family  nfnl.Family
	hook    nfnl.Hook
	flags   ticketFlags
	shape   shape // if the kernel asks for it

	transport uint8  // protocol of what noteOriginal looked at, else 0
	data      uint32 // bytes of its transport's data; of a fragment, its fragmentSum
}

// ticketFlags are what the refusal of a verdict depends on.
type ticketFlags uint16

const (
	ticketTruncated ticketFlags = 1 << iota
	ticketGSO
	ticketPending
	ticketCorrupt
	ticketUntracked
	ticketNoHelper // as far as is known
	ticketNAT      // NAT changes the connection, as far as is known
	ticketNATAhead // and this UDP GSO packet is to be changed yet
	ticketTunnel   // the pending checksum is that of a packet inside
	ticketFragment
	ticketHeadless // a VLAN frame without its Ethernet header
)

// Ticket returns a ticket for p. Call it in the handler, which then returns Hold. With
// Receive, set the element of Batch.Verdicts to Hold. If the handler returns another
// verdict instead, that verdict applies, and a later Ticket.SetVerdict returns
// ErrDecided.
func (p *Packet) Ticket() Ticket {
	t := p.ticket
	if t.q == nil {
		t.set(p)
	}
	t.noteConnection(p)
	return t
}

// set makes t the ticket of p as it was received. It sets field by field: a copy of a
// whole Ticket would wait for the stores of its parts.
func (t *Ticket) set(p *Packet) {
	t.q, t.id, t.length, t.queue, t.proto = p.q, p.ID, uint32(p.Len), p.Queue, p.Proto
	t.linkLen, t.family, t.hook = uint16(len(p.LinkHeader)), p.Family, p.Hook
	t.flags, t.shape = p.ticketFlags(), noShape
	t.noteOriginal(p)
	if p.q != nil && p.q.restriction == sameHeaders {
		t.shape = shapeOf(p.Family, p.Payload)
	}
}

// ticketFlags returns the properties of p as flags.
func (p *Packet) ticketFlags() (f ticketFlags) {
	// With Config.MetadataOnly nothing of the packet is there to be rewritten.
	if p.Truncated() || len(p.Payload) == 0 {
		f |= ticketTruncated
	}
	if p.GSO {
		f |= ticketGSO
	}
	if p.ChecksumPending {
		f |= ticketPending
	}
	if p.corrupt {
		f |= ticketCorrupt
	}
	if p.Family == nfnl.Bridge && p.VLAN.Protocol != 0 && len(p.LinkHeader) == 0 && p.q != nil && p.q.cfg().Segment {
		f |= ticketHeadless
	}
	if p.q != nil && p.q.cannotTrack(p) {
		f |= ticketUntracked
	}
	return f
}

// ID returns the packet's ID.
func (t Ticket) ID() uint32 { return t.id }

// SetVerdict gives the packet the verdict v. It may be called from any goroutine until
// the queue is closed, also before the handler returns, whose verdict is then ignored.
// v is sent after the verdicts that handlers have already returned. If the packet is in
// a Batch for which Send was not called, SetVerdict sends nothing. Send, or the next
// Receive, then sends v instead of the packet's element of Batch.Verdicts, and returns
// an error if that fails. SetVerdictUpTo and SetVerdictAll also send v, before their
// own verdict.
//
// The error wraps ErrDecided if the packet has a verdict, and net.ErrClosed if the
// queue is closed. If v is refused (see Verdict.WithPayload), the packet gets
// Config.Fallback and the error is the reason. With Config.BestEffort, a change of the
// connection that cannot be made is omitted and reported to OnError. After any other
// error the packet still waits.
func (t Ticket) SetVerdict(v Verdict) error {
	if t.q == nil {
		return errNoQueue
	}
	return t.q.setVerdict(t, v)
}

// SetVerdict is like Ticket.SetVerdict, for a caller that has only the ID of the
// packet. v cannot have a payload, VLAN tag, link header or expectation, because
// whether these are permitted depends on the packet.
func (q *Queue) SetVerdict(id uint32, v Verdict) error {
	q = q.orClosed()
	if v.has(changeOne) {
		return q.packetError(id, fmt.Errorf("verdict %v needs the packet: use Packet.Ticket", v))
	}
	return q.setVerdict(Ticket{q: q, id: id, queue: q.number}, v)
}

// cannotTrack reports whether a change of p's connection would be lost.
func (q *Queue) cannotTrack(p *Packet) bool {
	c := q.cfg()
	if c.Conntrack {
		return len(p.conntrack) == 0
	}
	return !c.ConntrackVerdicts
}

// setVerdict gives a packet its verdict, and reports what was left out of it.
func (q *Queue) setVerdict(t Ticket, v Verdict) error {
	if v.action == ActionHold {
		return q.packetError(t.id, errors.New("cannot answer a held packet with Hold"))
	}
	omitted, err := q.answer(t, v)
	switch {
	case err != nil:
		return q.packetError(t.id, err)
	case omitted != nil:
		q.report(q.packetError(t.id, fmt.Errorf(omittedBecause, omitted)))
	}
	return nil
}

// answer removes the packet from the list of those that wait, and sends its verdict.
// omitted is the reason why a part of the verdict was left out.
func (q *Queue) answer(t Ticket, v Verdict) (omitted, err error) {
	q.answering.RLock()
	defer q.answering.RUnlock()
	p, batch, err := q.waiting.claim(t.id)
	if err != nil {
		return nil, err
	}
	t.flags |= p.flags // by ID nothing was known of it
	t.length = uint32(p.size)
	msg := q.buffers.Get().(*[]byte)
	defer q.buffers.Put(msg)
	omitted = q.omit(&t, &v)
	b, refused := q.appendVerdict((*msg)[:0], &t, &v)
	*msg = b
	acked := refused == nil && q.ranges.port(&v) != 0
	if !batch.putAnswer(t.id, b, acked) {
		if err := q.sendAnswer(b, &t, p); err != nil {
			return nil, err
		}
		if !acked {
			q.ranges.answered(1)
		}
	}
	if refused != nil {
		return nil, fmt.Errorf(fallbackBecause, refused)
	}
	return omitted, nil
}

// sendAnswer sends the verdict on t's packet, after those that handlers have
// returned. If that fails the packet is listed again, as p.
func (q *Queue) sendAnswer(msg []byte, t *Ticket, p heldPacket) error {
	q.waiting.flush()
	var l load
	l.add(t)
	var tooLong problems
	switch err := q.send(msg, &l, &tooLong); {
	case err != nil:
		q.waiting.restore(p)
		return err
	case len(tooLong) > 0:
		return tooLong[0].err
	}
	return nil
}
