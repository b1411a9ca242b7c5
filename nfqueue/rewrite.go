package nfqueue

import (
	"fmt"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/internal/ipheader"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file refuses verdicts with which the kernel would silently lose the packet
// or a part of the verdict:
//
//	refuse              before a message is made
//	  refuseExpectation   (expectation.go)
//	  refuseLink          VLAN tag and link header
//	  refusePayload       a new packet, by its length and kind
//	appendPayload       copies the new packet into the message and finishes it
//	  refuseFinished      (rewrite_kinds.go) GSO packets and fragments
//	  refuseRewrite       (rewrite_limits.go) what Linux 7.2 and later forbid
//
// The properties of the packet as it was received are noted in its Ticket before
// a handler can edit it: rewrite_original.go. docs/rewriting.md has the table of
// the rewrites that arrive.

// refuse returns why v cannot be given to the packet, where the kernel would not
// report it.
func (t *Ticket) refuse(v *Verdict) error {
	if t.flags&ticketHeadless != 0 && v.action != ActionDrop {
		return ErrNoLinkHeader
	}
	if v.has(changeConntrack) && t.flags&ticketUntracked != 0 {
		return ErrUntracked
	}
	if v.has(changeExpectation) {
		if err := t.refuseExpectation(v.expectation); err != nil {
			return err
		}
	}
	if v.has(changeVLAN | changeLinkHeader) {
		if err := t.refuseLink(v); err != nil {
			return err
		}
	}
	if v.has(changePayload | changeRaw) {
		return t.refusePayload(v)
	}
	return nil
}

// refusePayload returns why v's payload cannot replace the packet. The kernel
// would not report it: it drops a payload that it cannot use (nfqnl_mangle), and
// treats all checksums as final. Whatever depends on lengths in the new packet's
// headers is left to refuseFinished.
func (t *Ticket) refusePayload(v *Verdict) error {
	payload, raw := v.payload, v.has(changeRaw)
	switch {
	case len(payload) == 0 || len(payload) > attr.MaxLen:
		return fmt.Errorf("%w: it has %d bytes, not between 1 and %d", ErrPayload, len(payload), attr.MaxLen)
	case t.flags&ticketTruncated != 0:
		return ErrTruncated
	case t.otherVersion(v):
		return fmt.Errorf("%w: it is of another IP version than the packet that it replaces", ErrRewriteForbidden)
	case t.flags&ticketGSO != 0 && isUDP(payload) && !takesUDP():
		return fmt.Errorf("%w: a kernel before 6.12 cannot segment rewritten UDP", ErrGSO)
	case raw:
		if err := t.refuseStump(payload); err != nil {
			return err
		}
	case t.proto != etherIPv4 && t.proto != etherIPv6:
		return fmt.Errorf("%w: EtherType %#04x", ErrNotIP, t.proto)
	case t.flags&ticketCorrupt != 0:
		return ErrCorrupt
	case t.flags&(ticketPending|ticketGSO) == ticketPending:
		if err := t.refusePending(payload); err != nil {
			return err
		}
	}
	if v.has(changeConntrack) && t.flags&(ticketNAT|ticketNoHelper) == ticketNAT|ticketNoHelper {
		return t.refuseLength(payload)
	}
	return nil
}

// refuseStump returns why a raw payload is too short. The kernel takes the header
// away without looking: it drops such a packet (skb_transport_offset), and
// before 5.19 it may panic.
func (t *Ticket) refuseStump(payload []byte) error {
	least := 0
	switch t.proto {
	case etherIPv4:
		least = ipheader.IPv4Len
	case etherIPv6:
		least = ipheader.IPv6Len
	}
	if len(payload) < least {
		return fmt.Errorf("%w: it has %d bytes, less than its IP header, which has %d", ErrPayload, len(payload), least)
	}
	return nil
}

// refusePending returns why payload cannot replace a packet whose checksum is
// pending: the kernel would not compute it any more. In a tunnel it is that of a
// packet further inside, which Finish leaves alone.
func (t *Ticket) refusePending(payload []byte) error {
	if h, ok := ipheader.Parse(payload); !ok || h.Protocol == ipheader.UDP && t.flags&ticketTunnel == 0 {
		return nil // finishing says what is wrong, or is enough
	}
	if t.flags&ticketTunnel != 0 || !checksum.Sets(payload) {
		return ErrTunnel
	}
	return nil
}

// refuseLength returns why the kernel, given a change of the connection too, does
// not take a TCP packet of another length: it would adjust the sequence numbers
// of a connection that has no room for that (nf_ct_seqadj_set), warn, and leave
// them wrong.
func (t *Ticket) refuseLength(payload []byte) error {
	h, ok := ipheader.Parse(payload)
	if !ok || h.Protocol != ipheader.TCP || len(payload) == int(t.length) {
		return nil
	}
	return fmt.Errorf("%w: NAT applies to the connection, and the verdict changes both it and the length of a packet; make the two changes in verdicts on different packets", ErrNoHelper)
}

// refuseLink returns why v cannot change the packet's link layer. The kernel
// ignores such changes outside of bridges; there it drops the packet if they do
// not fit (nfqa_parse_bridge).
func (t *Ticket) refuseLink(v *Verdict) error {
	switch {
	case t.family != nfnl.Bridge:
		return ErrNotBridge
	case v.has(changeVLAN) && v.vlan.Protocol == 0:
		return fmt.Errorf("%w: the VLAN tag has no protocol", ErrPayload)
	case v.has(changeLinkHeader) && (len(v.linkHeader) == 0 || len(v.linkHeader) != int(t.linkLen)):
		return fmt.Errorf("%w: the link header has %d bytes, but that of the packet has %d", ErrPayload, len(v.linkHeader), t.linkLen)
	}
	return nil
}

// appendPayload appends a copy of payload as the new packet, finished unless
// it is to be sent raw.
func (t *Ticket) appendPayload(b []byte, v *Verdict) ([]byte, error) {
	b = attr.AppendBytes(b, attrPayload, v.payload)
	start := len(b) - nlattr.Align(len(v.payload)) // AppendBytes has padded it
	fresh := b[start : start+len(v.payload)]
	if !v.has(changeRaw) {
		o := checksum.Options{PartialUDP: t.flags&ticketGSO != 0 && isUDP(fresh), KeepSurplus: true}
		if err := checksum.FinishWith(fresh, o); err != nil {
			return b, err
		}
	}
	if err := t.refuseFinished(fresh, v); err != nil {
		return b, err
	}
	return b, t.refuseRewrite(fresh)
}

// isUDP reports whether b is a UDP packet.
func isUDP(b []byte) bool {
	h, ok := ipheader.Parse(b)
	return ok && h.Protocol == ipheader.UDP && !h.Fragment()
}

// Finish sets the lengths and checksums of the IP packet b, in place, after its
// contents were changed. b is the whole packet from its network header on.
//
// It sets the total length and header checksum of IPv4, the payload length of IPv6, the
// length of UDP, and the checksums of TCP, UDP, UDP-Lite, ICMP, ICMPv6 and SCTP, also
// after IPv4 options and IPv6 extension headers. For other protocols it sets only the
// IP header. That includes AH and ESP, whose contents are authenticated: setting a
// checksum in them would make them invalid.
//
// It does not change the transport header of a fragment, because the checksum covers
// bytes that are not in b. It does not change encapsulated packets, or the packet that
// an ICMP error contains. It uses the checksum coverage in the header of a UDP-Lite
// packet. A UDP datagram is assumed to end at the end of b.
//
// Finish does not verify the old checksums: a packet that was damaged before has valid
// checksums after Finish. WithPayload refuses such a packet (ErrCorrupt).
//
// If Finish returns an error, the error wraps [ErrNotIP] or [ErrBadHeader], and b is
// unchanged. Finish allocates only to report an error.
//
// Finish need not be called before [Verdict.WithPayload], which sets the same fields.
// Finish makes a UDP datagram end where its IP packet ends. So does WithPayload, unless
// bytes follow the datagram in the original packet.
func Finish(b []byte) error { return checksum.Finish(b) }
