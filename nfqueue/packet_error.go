package nfqueue

import (
	"errors"
	"fmt"
	"slices"
)

// A PacketError is an error about a packet: the reason why its verdict was not carried
// out or why it could not be parsed, or that its hold has expired. It wraps the
// reason, such as ErrTruncated or an errno of the kernel.
type PacketError struct {
	Queue uint16
	ID    uint32 // of the packet
	More  int    // number of other packets with the same error, which get no PacketError of their own
	Err   error  // the reason
}

// Error returns a text with the queue, the packet and the reason.
func (e *PacketError) Error() string {
	if e.More > 0 {
		return fmt.Sprintf("nfqueue %d: packet %d and %d more: %v", e.Queue, e.ID, e.More, e.Err)
	}
	return fmt.Sprintf("nfqueue %d: packet %d: %v", e.Queue, e.ID, e.Err)
}

// Unwrap returns the reason.
func (e *PacketError) Unwrap() error { return e.Err }

// packetError returns err as one about a packet of q.
func (q *Queue) packetError(id uint32, err error) error {
	return &PacketError{Queue: q.number, ID: id, Err: err}
}

// problems are what is to be reported to OnError, one of each kind, because an error
// with one packet is often followed by the same with thousands.
type problems []problem

// A problem is an error, and how many of its kind there were.
type problem struct {
	err    error  // the first
	kind   error  // the innermost error
	n      int    // how many
	id     uint32 // of the first packet, if the error is about one
	packet bool
}

// addPacket adds an error about n packets, of which id is the first.
func (p *problems) addPacket(id uint32, n int, err error) {
	p.add(problem{err: err, n: n, id: id, packet: true})
}

// What becomes of a verdict that cannot be carried out.
const (
	fallbackBecause = "got the fallback: %w"
	omittedBecause  = "the change of its connection was left out: %w"
)

// addRefused adds why a packet got the fallback instead of its verdict.
func (p *problems) addRefused(id uint32, why error) { p.addBecause(fallbackBecause, id, why) }

// addOmitted adds why a change was left out of a packet's verdict.
func (p *problems) addOmitted(id uint32, why error) { p.addBecause(omittedBecause, id, why) }

// addBecause adds what became of a packet's verdict. Nothing is allocated unless it
// is the first of the kind.
func (p *problems) addBecause(format string, id uint32, why error) {
	one := problem{err: why, kind: bottom(why), n: 1, id: id, packet: true}
	if !p.count(one) {
		one.err = fmt.Errorf(format, why)
		*p = append(*p, one)
	}
}

// addMessage adds an error about a message that is no packet.
func (p *problems) addMessage(err error) { p.add(problem{err: err, n: 1}) }

// add adds a problem, or counts it.
func (p *problems) add(one problem) {
	one.kind = bottom(one.err)
	if !p.count(one) {
		*p = append(*p, one)
	}
}

// count counts a problem if there is one of its kind.
func (p *problems) count(one problem) bool {
	for i := range *p {
		if had := &(*p)[i]; had.kind == one.kind && had.packet == one.packet {
			had.n += one.n
			return true
		}
	}
	return false
}

// bottom returns the error that err wraps in the end.
func bottom(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// tell reports all problems to OnError. It removes each before it reports it, because
// OnError may panic. No lock may be held.
func (q *Queue) tell(p *problems) {
	for len(*p) > 0 {
		one := (*p)[0]
		*p = slices.Delete(*p, 0, 1)
		switch {
		case one.packet:
			q.report(&PacketError{Queue: q.number, ID: one.id, More: one.n - 1, Err: one.err})
		case one.n > 1:
			q.report(fmt.Errorf("%d messages, the first of which: %w", one.n, one.err))
		default:
			q.report(one.err)
		}
	}
}
