package nfqueue

import (
	"fmt"
	"sync"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/internal/ipheader"
	"github.com/nfpacket/nfpacket/nfnl"
)

// refuse returns why v cannot be given to the packet, where the kernel would
// not say.
func (t *Ticket) refuse(v *Verdict) error {
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
		return t.refusePayload(v.payload, v.has(changeRaw))
	}
	return nil
}

// refusePayload returns why payload cannot replace the packet. The kernel would
// not say: it drops what it cannot use (nfqnl_mangle), and takes all checksums
// for final.
func (t *Ticket) refusePayload(payload []byte, raw bool) error {
	switch {
	case len(payload) == 0 || len(payload) > attr.MaxLen:
		return fmt.Errorf("%w: it has %d bytes, not between 1 and %d", ErrPayload, len(payload), attr.MaxLen)
	case t.flags&ticketTruncated != 0:
		return ErrTruncated
	case t.flags&ticketGSO != 0 && isUDP(payload) && !takesUDP():
		return ErrGSO
	case raw:
		return t.refuseStump(payload)
	case t.proto != etherIPv4 && t.proto != etherIPv6:
		return fmt.Errorf("%w: EtherType %#04x", ErrNotIP, t.proto)
	case t.flags&ticketCorrupt != 0:
		return ErrCorrupt
	case t.flags&ticketGSO != 0 && isUDP(payload) && !t.canCutUDP(len(payload)):
		return ErrGSO
	case t.flags&ticketPending != 0:
		return refusePending(payload)
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
		return fmt.Errorf("%w: it has %d bytes, and its IP header would have %d", ErrPayload, len(payload), least)
	}
	return nil
}

// takesUDP says whether the kernel can segment a rewritten UDP packet at all. It
// was tried: 5.10 panics (__udp_gso_segment), 6.1 loses every datagram, 6.12 is
// the next that there was to try.
var takesUDP = sync.OnceValue(func() bool { return nfnl.KernelAtLeast(6, 12) })

// canCutUDP reports whether the kernel can cut a rewritten UDP GSO packet of n
// bytes into segments. It does not for packets that end here: their full checksum
// is looked for in each segment.
func (t *Ticket) canCutUDP(n int) bool {
	ends := t.hook == nfnl.Prerouting || t.hook == nfnl.Input
	return !ends && uint32(n) == t.length
}

// refusePending returns why payload cannot replace a packet whose checksum is
// pending: the kernel would not compute it any more.
func refusePending(payload []byte) error {
	if !checksum.Sets(payload) {
		return fmt.Errorf("%w: the packet's checksum is pending, and the new one's is of a protocol that Finish does not know", ErrPayload)
	}
	return nil
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
		return fmt.Errorf("%w: a link header of %d bytes for one of %d", ErrPayload, len(v.linkHeader), t.linkLen)
	}
	return nil
}

// appendPayload appends a copy of payload as the new packet, finished unless
// it is to be sent raw.
func (t *Ticket) appendPayload(b, payload []byte, raw bool) ([]byte, error) {
	b = attr.AppendBytes(b, attrPayload, payload)
	start := len(b) - (len(payload)+3)&^3 // AppendBytes has padded it
	fresh := b[start : start+len(payload)]
	if !raw {
		if err := checksum.FinishWith(fresh, checksum.Options{PartialUDP: t.flags&ticketGSO != 0 && isUDP(fresh)}); err != nil {
			return b, err
		}
	}
	return b, t.refuseRewrite(fresh)
}

// isUDP reports whether b is a UDP packet.
func isUDP(b []byte) bool {
	h, ok := ipheader.Parse(b)
	return ok && h.Protocol == ipheader.UDP && !h.Fragment()
}
