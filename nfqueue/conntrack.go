package nfqueue

import (
	"time"

	"github.com/nfpacket/nfpacket/attr"
)

// Conntrack returns the entry in the connection tracking table for p's connection,
// which the kernel sends with Config.Conntrack. Its slices are valid as long as p is.
// The error is ErrUntracked if the kernel sent no entry, and otherwise wraps
// attr.ErrMalformed.
func (p *Packet) Conntrack() (attr.Conntrack, error) {
	var c attr.Conntrack
	if len(p.conntrack) == 0 {
		return c, ErrUntracked
	}
	err := c.Decode(p.conntrack)
	return c, err
}

// ConntrackBytes returns the attribute NFQA_CT as the kernel sent it, for use with
// other libraries that decode the attributes of ctnetlink (CTA_TUPLE_ORIG and so on).
// It is nil if there is none, and valid as long as p is.
func (p *Packet) ConntrackBytes() []byte { return p.conntrack }

// A conntrackChange is what a verdict changes on the packet's connection.
type conntrackChange struct {
	mark, markMask     uint32
	labels, labelsMask attr.ConntrackLabels
	timeout            time.Duration
	status             attr.ConntrackStatus
}

// WithConntrackMark returns v with new values for the bits in mask of the connection
// mark. The mask 0xffffffff replaces the whole mark; 0 changes nothing.
//
// A verdict that changes the connection needs Config.Conntrack or
// Config.ConntrackVerdicts and, with Config.Conntrack, a packet that is tracked.
// Otherwise the packet gets Config.Fallback, or with Config.BestEffort the rest of the
// verdict, and OnError gets ErrUntracked. With ConntrackVerdicts alone a change on an
// untracked packet is lost silently. The kernel does not report whether it made a
// change.
func (v Verdict) WithConntrackMark(mark, mask uint32) Verdict {
	v.conntrack.mark, v.conntrack.markMask, v.change = mark, mask, v.change|changeConntrackMark
	return v
}

// WithConntrackLabels is like WithConntrackMark for the 128 labels of the connection.
// The mask attr.AllLabels() replaces all labels. The kernel has room for labels only in
// connections that began while there was a rule to set labels: nft "ct label set", or
// the match connlabel of iptables. An nft rule that only matches labels is not
// sufficient. In other connections the kernel ignores the labels and any connection mark
// set by the same verdict.
func (v Verdict) WithConntrackLabels(labels, mask attr.ConntrackLabels) Verdict {
	v.conntrack.labels, v.conntrack.labelsMask, v.change = labels, mask, v.change|changeConntrackLabels
	return v
}

// WithConntrackTimeout returns v with a new timeout of the connection, in whole
// seconds, rounded up: the connection expires if no packet arrives for this time. A
// connection with attr.StatusFixedTimeout keeps its timeout, and other changes of the
// connection in the same verdict are lost. On the first packet of a connection, kernels
// before 6.1 add the time since boot to the timeout.
func (v Verdict) WithConntrackTimeout(d time.Duration) Verdict {
	v.conntrack.timeout, v.change = d, v.change|changeConntrackTimeout
	return v
}

// changeableStatus has the bits of a status that verdicts can change: all but
// IPS_UNCHANGEABLE_MASK.
const changeableStatus = attr.StatusSeenReply | attr.StatusAssured | attr.StatusFixedTimeout | attr.StatusHelper

// WithConntrackStatus returns v with new values for the bits StatusSeenReply,
// StatusAssured, StatusFixedTimeout and StatusHelper of the connection; other bits are
// ignored. All four are set or cleared, so start from the status returned by
// Packet.Conntrack:
//
//	c, err := p.Conntrack()
//	...
//	return nfqueue.Accept().WithConntrackTimeout(time.Hour).WithConntrackStatus(c.Status | attr.StatusFixedTimeout)
//
// The kernel cannot clear StatusSeenReply and StatusAssured. If status lacks one that
// the connection has, the new status is lost, and so are new labels and a new connection
// mark in the same verdict. A status from Packet.Conntrack may lack one too, because the
// connection may have got it after the packet was queued.
//
// The kernel sets a new timeout before it looks at the status. So a new timeout is set
// even if the new status is lost. If the connection has StatusFixedTimeout, a verdict
// with a new timeout changes nothing of the connection, even if its status clears this
// bit: the kernel refuses the timeout first.
func (v Verdict) WithConntrackStatus(status attr.ConntrackStatus) Verdict {
	v.conntrack.status, v.change = status&changeableStatus, v.change|changeConntrackStatus
	return v
}

// ConntrackMark returns the arguments of WithConntrackMark; ok reports whether it was
// called.
func (v Verdict) ConntrackMark() (mark, mask uint32, ok bool) {
	return v.conntrack.mark, v.conntrack.markMask, v.has(changeConntrackMark)
}

// ConntrackLabels returns the arguments of WithConntrackLabels; ok reports whether it
// was called.
func (v Verdict) ConntrackLabels() (labels, mask attr.ConntrackLabels, ok bool) {
	return v.conntrack.labels, v.conntrack.labelsMask, v.has(changeConntrackLabels)
}

// ConntrackTimeout returns the argument of WithConntrackTimeout; ok reports whether it
// was called.
func (v Verdict) ConntrackTimeout() (d time.Duration, ok bool) {
	return v.conntrack.timeout, v.has(changeConntrackTimeout)
}

// ConntrackStatus returns the argument of WithConntrackStatus, without the bits that a
// verdict cannot change; ok reports whether it was called.
func (v Verdict) ConntrackStatus() (status attr.ConntrackStatus, ok bool) {
	return v.conntrack.status, v.has(changeConntrackStatus)
}

// omit takes changes of t's connection that cannot be made out of v, if
// Config.BestEffort says so, and returns why there are some.
func (q *Queue) omit(t *Ticket, v *Verdict) error {
	switch {
	case !v.has(changeConntrack) || !q.cfg().BestEffort:
		return nil
	case t.flags&ticketUntracked != 0:
		v.change &^= changeConntrack
		q.stats.omitted.Add(1)
		return ErrUntracked
	case v.has(changeExpectation) && t.flags&ticketNoHelper != 0:
		v.change &^= changeExpectation
		q.stats.omitted.Add(1)
		return ErrNoHelper
	}
	return nil
}
