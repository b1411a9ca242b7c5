package nfqueue

import (
	"fmt"

	"github.com/nfpacket/nfpacket/attr"
)

// WithExpectation returns v with an expectation: the announcement that the packet's
// connection will cause another connection, as an FTP control connection causes data
// connections. Helpers in user space use it. The first packet of the new connection is
// "related", so that rules can accept it. A verdict has at most one expectation.
//
// The requirements are those of WithConntrackMark. In addition the packet's connection
// must have a helper, which a rule assigns: one of the kernel, or one that a program
// has registered (nfct add helper). With Config.Conntrack, a packet whose connection
// has no helper gets Config.Fallback, and OnError gets ErrNoHelper. An expectation that
// is invalid or of another IP version than the packet is refused with ErrExpectation.
//
// The kernel does not report whether it accepted the expectation. It ignores the
// expectation if the helper has too many, if another helper has announced the same one,
// if the kernel lacks e.Helper or e.Function, or if another change of the connection in
// the same verdict was lost. WithExpectation allocates a copy of e.
func (v Verdict) WithExpectation(e attr.Expectation) Verdict {
	v.expectation, v.change = &e, v.change|changeExpectation
	return v
}

// Expectation returns the argument of WithExpectation; ok reports whether it was
// called.
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

// appendExpectation appends NFQA_EXP. The kernel reads it only together with an
// NFQA_CT that it could use, which may be empty (nfqnl_ct_parse).
func (v *Verdict) appendExpectation(b []byte) []byte {
	start := len(b)
	b = attr.BeginNested(b, attrExpectation)
	b = attr.AppendExpectation(b, v.expectation)
	return attr.EndNested(b, start)
}

// refuseExpectation returns why e cannot be used, where the kernel would not report
// it (ctnetlink_glue_attach_expect). A packet that is neither IPv4 nor IPv6 has no IP
// version to compare.
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
