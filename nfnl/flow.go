package nfnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

// A Flow is who sends a packet to whom, as its IP header says. The zero Flow
// is that of a packet without one.
type Flow struct {
	// Src and Dst have port 0 where the protocol has no ports, the packet is a
	// fragment other than the first, or was cut before them.
	Src, Dst netip.AddrPort

	// Protocol is the number of what follows the IP headers, for example 6 for
	// TCP.
	Protocol uint8

	// Length is the whole packet's, in bytes, which may be more than is at
	// hand. It is 0 where the header does not tell: in packets above 64 KiB.
	Length int
}

// ParseFlow reads the IP headers that payload starts with, up to the ports.
// Nothing is checked that it does not need, and a packet that was cut has as
// much of a Flow as is there. It returns false if there is no IPv4 or IPv6
// header. It does not allocate, and keeps nothing of payload.
func ParseFlow(payload []byte) (Flow, bool) {
	if len(payload) == 0 {
		return Flow{}, false
	}
	switch payload[0] >> 4 {
	case 4:
		return parseFlow4(payload)
	case 6:
		return parseFlow6(payload)
	}
	return Flow{}, false
}

const (
	ipv4Len = 20 // without options
	ipv6Len = 40 // without extension headers
)

// parseFlow4 reads an IPv4 packet.
//
//	 0           2        4            6              8    9        10   12       16
//	| IHL, ToS  | length | identity   | flags, offset| TTL| protocol| sum| source | destination
func parseFlow4(b []byte) (Flow, bool) {
	if len(b) < ipv4Len {
		return Flow{}, false
	}
	n := int(b[0]&0xf) * 4
	if n < ipv4Len {
		return Flow{}, false
	}
	f := Flow{Protocol: b[9], Length: int(binary.BigEndian.Uint16(b[2:]))}
	var src, dst uint16
	if offset := binary.BigEndian.Uint16(b[6:]) & 0x1fff; offset == 0 && n <= len(b) {
		src, dst = ports(f.Protocol, b[n:])
	}
	f.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), src)
	f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), dst)
	return f, true
}

// parseFlow6 reads an IPv6 packet.
//
//	 0                4        6             7          8        24
//	| class, label   | length | next header | hop limit| source | destination
func parseFlow6(b []byte) (Flow, bool) {
	if len(b) < ipv6Len {
		return Flow{}, false
	}
	var f Flow
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 {
		f.Length = ipv6Len + n
	}
	proto, rest := skipExtensions(b[6], b[ipv6Len:])
	src, dst := ports(proto, rest)
	f.Protocol = proto
	f.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])), src)
	f.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:])), dst)
	return f, true
}

// Protocol numbers: IPPROTO_ of linux/in.h, NEXTHDR_ of net/ipv6.h.
const (
	protoHopByHop     = 0
	protoICMP         = 1
	protoTCP          = 6
	protoUDP          = 17
	protoRouting      = 43
	protoFragment     = 44
	protoICMPv6       = 58
	protoDestinations = 60
	protoSCTP         = 132
	protoUDPLite      = 136
)

// skipExtensions returns the first protocol in b that is no extension header
// of IPv6, and what follows. In a fragment other than the first, or where b
// ends, nothing follows.
//
//	| next header | length, in units of 8 bytes after the first 8 | ... |
func skipExtensions(proto uint8, b []byte) (uint8, []byte) {
	for {
		switch proto {
		case protoHopByHop, protoRouting, protoDestinations, protoFragment:
		default:
			return proto, b
		}
		if len(b) < 8 {
			return proto, nil
		}
		n := 8
		if proto != protoFragment { // there the length is reserved
			n += int(b[1]) * 8
		} else if binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
			return b[0], nil
		}
		if n > len(b) {
			return b[0], nil
		}
		proto, b = b[0], b[n:]
	}
}

// ports returns the ports at the start of b, if the protocol has any.
func ports(proto uint8, b []byte) (src, dst uint16) {
	switch proto {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP:
		if len(b) >= 4 {
			return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		}
	}
	return 0, 0
}

// ProtocolName returns the name of f.Protocol, or its number.
func (f Flow) ProtocolName() string {
	switch f.Protocol {
	case protoICMP:
		return "icmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMPv6:
		return "icmpv6"
	case protoSCTP:
		return "sctp"
	case protoUDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(f.Protocol))
}

// String returns the flow as in "tcp 192.0.2.1:40000 > 192.0.2.2:80", without
// ports that are 0, or "no IP" for the zero Flow.
func (f Flow) String() string {
	if f == (Flow{}) {
		return "no IP"
	}
	if f.Src.Port() == 0 && f.Dst.Port() == 0 {
		return fmt.Sprintf("%s %s > %s", f.protocol(), f.Src.Addr(), f.Dst.Addr())
	}
	return fmt.Sprintf("%s %s > %s", f.protocol(), f.Src, f.Dst)
}

// protocol is ProtocolName for use in a sentence.
func (f Flow) protocol() string {
	name := f.ProtocolName()
	if name[0] >= '0' && name[0] <= '9' {
		return "protocol " + name
	}
	return name
}
