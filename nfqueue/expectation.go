package nfqueue

import (
	"fmt"

	"github.com/nfpacket/nfpacket/attr"
)

// WithExpectation returns v with the announcement of another connection, which
// the packet's connection leads to: what the helper of a protocol finds out that
// runs in user space. The new connection's packets are "related" then, and a rule
// that accepts those lets it in. A verdict announces one.
//
// It needs what WithConntrackMark needs, and the packet's connection a helper,
// one of the kernel or one registered by a program (nfct add helper): a rule
// gives it. Without one the packet gets Config.Fallback, and ErrNoHelper is
// reported to OnError, but only with Config.Conntrack, which shows helpers. An
// expectation that cannot be used, or of another IP version than the packet, is
// refused with ErrExpectation.
//
// The kernel does not say whether it expects the connection. It does not if its
// helper expects too many already, if another has announced the same one, if it
// does not know Helper or Function, or if it lost another change of the
// connection in the same verdict. WithExpectation allocates, and keeps a copy of
// e; verdicts without an expectation pay nothing for it.
func (v Verdict) WithExpectation(e attr.Expectation) Verdict {
	v.expectation, v.change = &e, v.change|changeExpectation
	return v
}

// Expectation returns the connection to expect, and whether there is one.
func (v Verdict) Expectation() (e attr.Expectation, ok bool) {
	if v.expectation == nil {
		return e, false
	}
	return *v.expectation, true
}

// expectsSame reports whether v and w have the same expectation, or none.
func (v *Verdict) expectsSame(w *Verdict) bool {
	a, hasA := v.Expectation()
	b, hasB := w.Expectation()
	return hasA == hasB && a == b
}

// appendExpectation appends NFQA_EXP. The kernel looks at it only behind an
// NFQA_CT that it could use, which may be empty (nfqnl_ct_parse).
func (v *Verdict) appendExpectation(b []byte) []byte {
	start := len(b)
	b = attr.BeginNested(b, attrExpectation)
	b = attr.AppendExpectation(b, v.expectation)
	return attr.EndNested(b, start)
}

// refuseExpectation returns why e cannot be expected, where the kernel would
// not say (ctnetlink_glue_attach_expect). The IP version is unknown of a packet
// that is neither.
func (t *Ticket) refuseExpectation(e *attr.Expectation) error {
	if err := e.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrExpectation, err)
	}
	if is4 := e.Tuple.Dst.Addr().Is4(); is4 && t.proto == etherIPv6 || !is4 && t.proto == etherIPv4 {
		return fmt.Errorf("%w: it is %v, for a packet of EtherType %#04x", ErrExpectation, e.Tuple, t.proto)
	}
	if t.flags&ticketNoHelper != 0 {
		return ErrNoHelper
	}
	return nil
}

// noteConnection notes if p's connection is known to have no helper, and if NAT
// changes it. Few verdicts depend on that, so it is not looked for in every
// packet.
func (t *Ticket) noteConnection(p *Packet) {
	if len(p.conntrack) == 0 {
		return
	}
	t.flags |= ticketNoHelper
	for d := attr.NewDecoder(p.conntrack); d.Next(); {
		switch d.Type() {
		case ctaHelp:
			t.flags &^= ticketNoHelper
		case ctaStatus:
			if attr.ConntrackStatus(d.Uint32())&(attr.StatusSourceNAT|attr.StatusDestinationNAT) != 0 {
				t.flags |= ticketNAT
			}
		}
	}
}
