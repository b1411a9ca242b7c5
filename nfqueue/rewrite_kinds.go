package nfqueue

import (
	"fmt"
	"sync"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/ipheader"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file refuses rewrites that every kernel loses later on the packet's way,
// by the kind of the packet. docs/rewriting.md is its table.

// refuseFinished returns why b, whose headers are as they will be sent, would be
// lost in place of the packet.
func (t *Ticket) refuseFinished(b []byte, v *Verdict) error {
	h, ok := ipheader.Parse(b)
	switch {
	case t.flags&ticketGSO != 0:
		return t.refuseGSO(b, &h)
	case ok && t.flags&ticketFragment != 0 && !v.has(changeRaw):
		return t.refuseFragment(b, &h)
	}
	return nil
}

// otherVersion reports whether v's payload is of the other IP version than the
// packet: the kernel continues to treat it as the old version. On a bridge the
// link header determines the version, and the verdict may change that.
func (t *Ticket) otherVersion(v *Verdict) bool {
	is := v.payload[0] >> 4
	other := is == 6 && t.proto == etherIPv4 || is == 4 && t.proto == etherIPv6
	return other && (t.family != nfnl.Bridge || !v.has(changeLinkHeader))
}

// refuseGSO returns why b cannot replace a packet that the kernel has yet to
// segment. The size of a segment is not in the packet, and a rewrite does not
// change it.
func (t *Ticket) refuseGSO(b []byte, h *ipheader.Header) error {
	at, ok := h.Data(b)
	data := uint32(h.End - at)
	switch {
	case t.flags&ticketTunnel != 0 || t.transport != ipheader.TCP && t.transport != ipheader.UDP:
		return fmt.Errorf("%w: it contains an encapsulated packet", ErrGSO)
	case !ok || h.Protocol != t.transport:
		return fmt.Errorf("%w: the payload has another protocol than the packet", ErrGSO)
	case t.transport == ipheader.TCP && data < t.data && !t.endsHere():
		// tcp_gso_segment refuses what fits into one segment. How long that is
		// only the kernel knows; two have more than one.
		return fmt.Errorf("%w: its TCP data is %d bytes shorter, and may fit into one segment", ErrGSO, t.data-data)
	case t.transport == ipheader.UDP && data != t.data:
		return fmt.Errorf("%w: the length of its UDP data must not change", ErrGSO)
	case t.transport == ipheader.UDP && (t.hook == nfnl.Prerouting || t.hook == nfnl.Input):
		// The full checksum is looked for in each segment of a packet that ends here.
		return fmt.Errorf("%w: at the hook %v the kernel verifies the checksum of each datagram", ErrGSO, t.hook)
	case t.flags&ticketNATAhead != 0:
		return fmt.Errorf("%w: NAT will change the packet later and make its checksums wrong", ErrGSO)
	}
	return nil
}

// endsHere reports whether the packet is for a local socket, where nothing is cut.
func (t *Ticket) endsHere() bool { return t.hook == nfnl.Input && t.family != nfnl.Bridge }

// takesUDP reports whether the kernel can segment a rewritten UDP packet at all.
// Of the kernels that were tried, 5.10 panics (__udp_gso_segment), 6.1 loses
// every datagram, and 6.12 is the next.
var takesUDP = sync.OnceValue(func() bool { return diagnose.KernelAtLeast(6, 12) })

// refuseFragment returns why b cannot replace a fragment: the checksum covers
// bytes of other fragments, and so do offsets. It can if it contributes the same
// to the checksum.
func (t *Ticket) refuseFragment(b []byte, h *ipheader.Header) error {
	longer := len(b) - int(t.length)
	switch {
	case longer != 0 && h.MoreFragments:
		return fmt.Errorf("%w: its length must not change, because the offsets of later fragments are fixed", ErrFragment)
	case h.FragmentOffset+len(b) > 0xffff:
		return fmt.Errorf("%w: the datagram would be longer than 65535 bytes", ErrFragment)
	case summed(h) && (longer != 0 || fragmentSum(b, h) != t.data) && !withoutChecksum(b, h):
		return fmt.Errorf("%w: the checksum in the first fragment covers the data of all", ErrFragment)
	}
	return nil
}

// summed reports whether the protocol has a checksum over a datagram's data.
func summed(h *ipheader.Header) bool {
	switch h.Protocol {
	case ipheader.TCP, ipheader.UDP, ipheader.UDPLite, ipheader.DCCP, ipheader.SCTP, ipheader.ICMP, ipheader.ICMPv6:
		return true
	}
	return false
}

// withoutChecksum reports whether b is seen to be UDP without a checksum.
func withoutChecksum(b []byte, h *ipheader.Header) bool {
	at, ok := h.Data(b)
	return ok && h.Protocol == ipheader.UDP && h.Version == 4 && b[at-2] == 0 && b[at-1] == 0
}
