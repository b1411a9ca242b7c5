package nfqueue

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/internal/ipheader"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file reads from a packet, before a handler may edit it in place, the
// properties that decide which rewrites of it would arrive. Most packets have
// none of these.

// trim removes what lies after the IP packet: the padding of a short frame, which
// the bridge family delivers. In other families the kernel removes it
// (ip_rcv_core, ip6_rcv_core).
func (p *Packet) trim() {
	if p.Family != nfnl.Bridge || p.Proto != etherIPv4 && p.Proto != etherIPv6 {
		return
	}
	if h, ok := ipheader.Parse(p.Payload); ok && h.Length > 0 && h.Length < p.Len {
		p.Len = h.Length
		p.Payload = p.Payload[:h.End:h.End]
	}
}

// noteOriginal notes in t what of p is to be known when it is rewritten, if p is
// one of the kinds that the kernel or the receiver would lose then.
func (t *Ticket) noteOriginal(p *Packet) {
	t.transport, t.data = 0, 0
	b := p.Payload
	special := t.flags&(ticketGSO|ticketPending) != 0 || maybeFragment(p.Proto, b)
	if !special || t.flags&ticketTruncated != 0 || p.Proto != etherIPv4 && p.Proto != etherIPv6 {
		return
	}
	h, ok := ipheader.Parse(b)
	if !ok {
		return
	}
	t.transport = h.Protocol
	switch {
	case h.Fragment():
		t.flags |= ticketFragment
		t.data = fragmentSum(b, &h)
		return
	case t.flags&ticketGSO != 0:
		if at, ok := h.Data(b); ok {
			t.data = uint32(h.End - at)
		}
	}
	if h.Protocol != ipheader.UDP {
		return
	}
	if t.flags&ticketPending != 0 && !checksum.Pending(b) {
		t.flags |= ticketTunnel
	}
	if t.flags&ticketGSO != 0 && natAhead(p, &h) {
		t.flags |= ticketNATAhead
	}
}

// maybeFragment reports whether b may be a fragment, from its first header alone.
func maybeFragment(proto uint16, b []byte) bool {
	switch {
	case proto == etherIPv4 && len(b) >= ipheader.IPv4Len:
		return (b[6]&0x3f)|b[7] != 0 // IP_MF, IP_OFFSET of net/ip.h
	case proto == etherIPv6 && len(b) >= ipheader.IPv6Len:
		switch b[6] {
		case ipheader.FragmentID, ipheader.HopByHop, ipheader.Routing, ipheader.Destinations:
			return true
		}
	}
	return false
}

// fragmentSum returns what b contributes to the checksum of its datagram. With
// SCTP's it does not add up, and any change is one too many.
func fragmentSum(b []byte, h *ipheader.Header) uint32 {
	part := b[fragmentStart(b, h):h.End]
	switch {
	case h.Protocol == ipheader.SCTP:
		return crc32.ChecksumIEEE(part)
	case h.FragmentOffset == 0 && h.Protocol != ipheader.ICMP: // with the addresses
		return uint32(checksum.Sum(part, h.Src, h.Dst))
	}
	return uint32(checksum.Sum(part, nil, nil))
}

// fragmentStart returns where a fragment's part of the datagram begins.
func fragmentStart(b []byte, h *ipheader.Header) int {
	if h.Version == 4 {
		return min(int(b[0]&0xf)*4, h.End)
	}
	x := ipheader.ExtensionsOf(b[:h.End])
	for x.Step() {
		if x.Kind == ipheader.FragmentID {
			break
		}
	}
	return x.End()
}

// natAhead reports whether NAT is known to change p later on its way: p does not
// yet have the addresses that the other direction of its connection implies.
// Nothing is known of a connection whose NAT is not decided yet.
func natAhead(p *Packet, h *ipheader.Header) bool {
	if len(p.conntrack) == 0 {
		return false
	}
	c, err := p.Conntrack()
	if err != nil || c.Status&(attr.StatusSourceNAT|attr.StatusDestinationNAT) == 0 {
		return false
	}
	back := c.Reply
	if p.ConntrackInfo == attr.InfoEstablishedReply || p.ConntrackInfo == attr.InfoRelatedReply {
		back = c.Original
	}
	src, dst := endpoints(p.Payload, h)
	return src != back.Dst || dst != back.Src
}

// endpoints returns who sends a UDP packet to whom.
func endpoints(b []byte, h *ipheader.Header) (src, dst netip.AddrPort) {
	from, _ := netip.AddrFromSlice(h.Src)
	to, _ := netip.AddrFromSlice(h.Dst)
	udp := b[h.Transport:]
	return netip.AddrPortFrom(from, binary.BigEndian.Uint16(udp)), netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
}
