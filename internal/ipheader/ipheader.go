// Package ipheader walks the headers of IPv4 and IPv6 packets: the one place
// that knows where a packet ends, where its transport header begins, and how
// long an extension header is.
//
// [Parse] reads as much as there is, for packets that were cut, and never looks
// behind the packet's own end: a frame's padding is no header. [Extensions]
// steps through the extension headers of IPv6 one by one, for those who need
// what is in them.
//
// Nothing here allocates or keeps the bytes it was given, except that the
// addresses of a Header and the bytes of Extensions alias them.
package ipheader

import "encoding/binary"

// Protocol numbers: IPPROTO_ of linux/in.h, NEXTHDR_ of net/ipv6.h.
const (
	HopByHop     = 0
	ICMP         = 1
	TCP          = 6
	UDP          = 17
	DCCP         = 33
	Routing      = 43
	FragmentID   = 44
	AH           = 51
	ICMPv6       = 58
	NoNext       = 59
	Destinations = 60
	SCTP         = 132
	UDPLite      = 136
)

// Lengths of the fixed headers in bytes.
const (
	IPv4Len = 20 // without options
	IPv6Len = 40 // without extension headers
)

// A Header is what the IP headers of a packet say about it. All offsets count
// from the packet's first byte.
type Header struct {
	Version  uint8  // 4 or 6
	Protocol uint8  // of what follows the headers; of the header that was cut, where one was
	Src, Dst []byte // as the first header has them, 4 or 16 bytes

	// Length is the packet's by its header. It is 0 where the header does not
	// say: TCP above 64 KiB (BIG TCP).
	Length int

	// End is where the packet ends in the bytes at hand: at Length, or at their
	// end if they were cut or Length is 0.
	End int

	// Transport is where what follows the headers begins, at most End. It is 0
	// where that is not at hand: in a fragment other than the first, and where
	// the headers were cut or contradict themselves.
	Transport int

	// FragmentOffset is where in its datagram the packet's data belongs, in
	// bytes; MoreFragments says that others follow. Both are zero in a whole
	// datagram.
	FragmentOffset int
	MoreFragments  bool
}

// Fragment reports whether the packet is a part of a datagram only.
func (h *Header) Fragment() bool { return h.FragmentOffset != 0 || h.MoreFragments }

// Parse reads the IP headers that b starts with; ok is false if there is no
// IPv4 or IPv6 header. IPv6 extension headers are skipped, AH among them, as
// the kernel does (ipv6_find_hdr).
func Parse(b []byte) (h Header, ok bool) {
	if len(b) == 0 {
		return h, false
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return h, false
}

// parse4 reads the header of an IPv4 packet.
//
//	 0           2        4            6              8    9        10   12       16
//	| IHL, ToS  | length | identity   | flags, offset| TTL| protocol| sum| source | destination
func parse4(b []byte) (h Header, ok bool) {
	const more, offset = 0x2000, 0x1fff // IP_MF, IP_OFFSET of net/ip.h
	if len(b) < IPv4Len {
		return h, false
	}
	n := int(b[0]&0xf) * 4
	if n < IPv4Len {
		return h, false
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	h = Header{
		Version:        4,
		Protocol:       b[9],
		Src:            b[12:16],
		Dst:            b[16:20],
		Length:         int(binary.BigEndian.Uint16(b[2:])),
		FragmentOffset: int(fragment&offset) * 8,
		MoreFragments:  fragment&more != 0,
	}
	h.End = end(b, h.Length, IPv4Len, h.Protocol)
	if n <= h.End && h.FragmentOffset == 0 {
		h.Transport = n
	}
	return h, true
}

// end returns where in b a packet of that length ends, whose fixed header has n
// bytes. One of length 0 is as long as b if it can be BIG TCP (iph_totlen,
// ipv6_payload_len); else nothing follows its header.
func end(b []byte, length, n int, proto uint8) int {
	const tcpLen = 20
	if length == 0 && (proto == TCP || proto == HopByHop) && len(b) >= n+tcpLen {
		return len(b)
	}
	return min(max(length, n), len(b))
}

// parse6 reads the headers of an IPv6 packet.
//
//	 0                4        6             7          8        24
//	| class, label   | length | next header | hop limit| source | destination
func parse6(b []byte) (h Header, ok bool) {
	if len(b) < IPv6Len {
		return h, false
	}
	h = Header{Version: 6, Protocol: b[6], Src: b[8:24], Dst: b[24:40]}
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 {
		h.Length = IPv6Len + n
	}
	h.End = end(b, h.Length, IPv6Len, h.Protocol)
	if h.Protocol == NoNext && h.Length == 0 {
		h.Length = IPv6Len
	}
	x := ExtensionsOf(b[:h.End])
	for x.Step() {
		if x.Kind != FragmentID {
			continue
		}
		h.FragmentOffset, h.MoreFragments = x.Fragment()
		if h.FragmentOffset != 0 {
			h.Protocol = x.Next
			return h, true
		}
	}
	h.Protocol = x.Next
	if !x.Cut() {
		h.Transport = x.End()
	}
	return h, true
}

// Data returns where in b the data behind the transport header begins, at most
// h.End; ok is false where that header is not at hand, not whole, or of another
// protocol than those that have a constant here.
func (h *Header) Data(b []byte) (at int, ok bool) {
	if h.Transport == 0 {
		return 0, false
	}
	t := b[h.Transport:h.End]
	n := 8
	switch h.Protocol {
	case UDP, UDPLite, ICMP, ICMPv6:
	case SCTP:
		n = 12
	case TCP:
		if n = 20; len(t) >= n {
			n = max(int(t[12]>>4)*4, 20)
		}
	case DCCP:
		if n = 12; len(t) >= n {
			n = max(int(t[4])*4, 12)
		}
	default:
		return 0, false
	}
	if n > len(t) {
		return 0, false
	}
	return h.Transport + n, true
}
