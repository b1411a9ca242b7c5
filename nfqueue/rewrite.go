package nfqueue

import (
	"fmt"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// appendPayload appends a copy of payload as the new packet, finished unless
// it is to be sent raw.
func (t Ticket) appendPayload(b, payload []byte, raw bool) ([]byte, error) {
	if err := t.refuse(payload, raw); err != nil {
		return b, err
	}
	b = attr.AppendBytes(b, attrPayload, payload)
	if raw {
		return b, nil
	}
	start := len(b) - (len(payload)+3)&^3 // AppendBytes has padded it
	fresh := b[start : start+len(payload)]
	return b, finish(fresh, t.flags&ticketGSO != 0 && isUDP(fresh))
}

// refuse returns why payload cannot replace the packet. The kernel would not
// say: it drops what it cannot use (nfqnl_mangle), and takes all checksums for
// final.
func (t Ticket) refuse(payload []byte, raw bool) error {
	switch {
	case len(payload) == 0 || len(payload) > attr.MaxLen:
		return fmt.Errorf("%w: it has %d bytes, not between 1 and %d", ErrPayload, len(payload), attr.MaxLen)
	case t.flags&ticketTruncated != 0:
		return ErrTruncated
	case raw:
		return nil
	case t.proto != etherIPv4 && t.proto != etherIPv6:
		return fmt.Errorf("%w: EtherType %#04x", ErrNotIP, t.proto)
	case t.flags&ticketCorrupt != 0:
		return ErrCorrupt
	case t.flags&ticketGSO != 0 && isUDP(payload) && (t.hook == nfnl.Prerouting || t.hook == nfnl.Input || uint32(len(payload)) != t.length):
		return ErrGSO
	case t.flags&ticketPending != 0 && !finishable(payload):
		return fmt.Errorf("%w: its checksum is pending, and of a protocol that Finish does not know", ErrPayload)
	}
	return nil
}

// isUDP reports whether b is a UDP packet.
func isUDP(b []byte) bool {
	h, err := parseHeaders(b)
	return err == nil && h.transport() == &udp
}
