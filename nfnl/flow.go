package nfnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nfpacket/nfpacket/internal/ipheader"
)

// A Flow has the fields of a packet's IP and transport headers, and the offset of its
// data. The zero Flow is that of a packet without an IP header.
//
// A field is zero if the protocol does not have it, or if the packet was truncated
// before it. A fragment other than the first has no transport header. Bytes after the
// end of the IP packet, such as the padding of an Ethernet frame, are ignored.
type Flow struct {
	// Src and Dst are the addresses, with the ports of TCP, UDP, UDP-Lite, SCTP and
	// DCCP. For other protocols the ports are 0.
	Src, Dst netip.AddrPort

	// Protocol is the protocol number of the header after the IP header, for example 6
	// for TCP. IPv6 extension headers are skipped, including AH, as connection tracking
	// and ip6tables do; "meta l4proto" of nft stops at AH.
	Protocol uint8

	// Length is the length of the IP packet in bytes, from its header. It is more than
	// len(payload) if the packet was truncated, and 0 for a packet above 64 KiB (BIG
	// TCP), whose header does not have the length.
	Length int

	// TransportOffset is the offset of the transport header, and PayloadOffset that of
	// the data after it, in bytes from the start of the packet. PayloadOffset is set
	// for ICMP, ICMPv6 and the protocols that have ports, and otherwise 0.
	TransportOffset, PayloadOffset int

	TCPFlags TCPFlags

	// ICMPType and ICMPCode are the type and code of ICMP and ICMPv6. ICMPID is the
	// identifier of an echo request or reply.
	ICMPType, ICMPCode uint8
	ICMPID             uint16

	// FragmentOffset is the offset of a fragment's data in its datagram, in bytes.
	// MoreFragments reports whether further fragments follow. Both are zero for a
	// packet that is not a fragment.
	FragmentOffset int
	MoreFragments  bool
}

// ParseFlow returns the Flow of the packet that starts at payload[0], the first byte of
// its IP header. It does not validate the packet. It returns false if there is no
// complete IPv4 or IPv6 header. It does not allocate, and does not retain payload.
func ParseFlow(payload []byte) (Flow, bool) {
	h, ok := ipheader.Parse(payload)
	if !ok {
		return Flow{}, false
	}
	f := Flow{
		Protocol:        h.Protocol,
		Length:          h.Length,
		TransportOffset: h.Transport,
		FragmentOffset:  h.FragmentOffset,
		MoreFragments:   h.MoreFragments,
	}
	f.PayloadOffset, _ = h.Data(payload)
	var src, dst uint16
	if h.Transport > 0 {
		src, dst = f.readTransport(payload[h.Transport:h.End])
	}
	f.Src, f.Dst = addrPort(h.Src, src), addrPort(h.Dst, dst)
	return f, true
}

// addrPort returns an address of 4 or 16 bytes with a port.
func addrPort(address []byte, port uint16) netip.AddrPort {
	if len(address) == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address)), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(address)), port)
}

// readTransport reads the start of a transport header, as much of it as is in b,
// and returns its ports.
//
//	           0             2                  4                 13
//	ports     | source      | destination      | ...   TCP:      | flags |
//	ICMP      | type, code  | checksum         | identifier | ...
func (f *Flow) readTransport(b []byte) (src, dst uint16) {
	switch f.Protocol {
	case ipheader.TCP:
		if len(b) > 13 {
			f.TCPFlags = TCPFlags(b[13])
		}
		return ports(b)
	case ipheader.UDP, ipheader.UDPLite, ipheader.SCTP, ipheader.DCCP:
		return ports(b)
	case ipheader.ICMP, ipheader.ICMPv6:
		f.readICMP(b)
	}
	return 0, 0
}

// ports returns the ports at the start of b, if they are there.
func ports(b []byte) (src, dst uint16) {
	if len(b) < 4 {
		return 0, 0
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// readICMP reads the start of a message of ICMP or ICMPv6.
func (f *Flow) readICMP(b []byte) {
	const (
		echoReply4, echo4 = 0, 8     // ICMP_ECHOREPLY, ICMP_ECHO of linux/icmp.h
		echo6, echoReply6 = 128, 129 // ICMPV6_ECHO_REQUEST, _REPLY of linux/icmpv6.h
	)
	if len(b) < 2 {
		return
	}
	f.ICMPType, f.ICMPCode = b[0], b[1]
	echo := f.ICMPType == echo4 || f.ICMPType == echoReply4
	if f.Protocol == ipheader.ICMPv6 {
		echo = f.ICMPType == echo6 || f.ICMPType == echoReply6
	}
	if echo && len(b) >= 6 {
		f.ICMPID = binary.BigEndian.Uint16(b[4:])
	}
}

// ProtocolName returns the name of f.Protocol in lower case, for example "tcp", or its
// number.
func (f Flow) ProtocolName() string {
	switch f.Protocol {
	case ipheader.ICMP:
		return "icmp"
	case ipheader.TCP:
		return "tcp"
	case ipheader.UDP:
		return "udp"
	case ipheader.DCCP:
		return "dccp"
	case ipheader.ICMPv6:
		return "icmpv6"
	case ipheader.SCTP:
		return "sctp"
	case ipheader.UDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(f.Protocol))
}

// String describes the flow, for example "tcp 192.0.2.1:40000 > 192.0.2.2:80". If both
// ports are 0 they are left out. The zero Flow is "no IP".
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

// TCPFlags is the set of flags in a TCP header.
type TCPFlags uint8

// The flags, as in include/net/tcp.h.
const (
	TCPFin TCPFlags = 1 << iota // TCPHDR_FIN
	TCPSyn                      // TCPHDR_SYN
	TCPRst                      // TCPHDR_RST
	TCPPsh                      // TCPHDR_PSH
	TCPAck                      // TCPHDR_ACK
	TCPUrg                      // TCPHDR_URG
	TCPEce                      // TCPHDR_ECE
	TCPCwr                      // TCPHDR_CWR
)

// String returns the names of the set flags as nft writes them, for example "syn,ack",
// or "" if there are none.
func (f TCPFlags) String() string {
	var names []string
	for i, name := range [...]string{"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
