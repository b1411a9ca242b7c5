package attr

import (
	"fmt"
	"net/netip"
)

// The attributes inside a tuple, of linux/netfilter/nfnetlink_conntrack.h.
const (
	tupleIP    = 1 // CTA_TUPLE_IP
	tupleProto = 2 // CTA_TUPLE_PROTO
	tupleZone  = 3 // CTA_TUPLE_ZONE

	ipV4Src = 1 // CTA_IP_V4_SRC
	ipV4Dst = 2 // CTA_IP_V4_DST
	ipV6Src = 3 // CTA_IP_V6_SRC
	ipV6Dst = 4 // CTA_IP_V6_DST

	protoNum        = 1 // CTA_PROTO_NUM
	protoSrcPort    = 2 // CTA_PROTO_SRC_PORT
	protoDstPort    = 3 // CTA_PROTO_DST_PORT
	protoICMPID     = 4 // CTA_PROTO_ICMP_ID
	protoICMPType   = 5 // CTA_PROTO_ICMP_TYPE
	protoICMPCode   = 6 // CTA_PROTO_ICMP_CODE
	protoICMPv6ID   = 7 // CTA_PROTO_ICMPV6_ID
	protoICMPv6Type = 8 // CTA_PROTO_ICMPV6_TYPE
	protoICMPv6Code = 9 // CTA_PROTO_ICMPV6_CODE
)

// A Tuple identifies one direction of a connection: addresses, protocol, and ports
// or ICMP identifier.
type Tuple struct {
	// Src and Dst have port 0 if the protocol has no ports. For GRE the ports are
	// its keys.
	Src, Dst netip.AddrPort

	Protocol uint8 // IPPROTO_ number: 6 for TCP, 17 for UDP

	// ICMPType, ICMPCode and ICMPID are zero for protocols other than ICMP and
	// ICMPv6.
	ICMPType, ICMPCode uint8
	ICMPID             uint16

	Zone uint16 // zone of this direction, if it has one of its own; otherwise 0
}

// String returns the number of the protocol and the addresses, for example "6
// 192.0.2.1:4660 > 192.0.2.2:80".
func (t Tuple) String() string {
	return fmt.Sprintf("%d %v > %v", t.Protocol, t.Src, t.Dst)
}

// tuple decodes a nested Tuple: enum ctattr_tuple.
//
//	| IP | protocol | zone |
func (d *Decoder) tuple() Tuple {
	var (
		t                Tuple
		src, dst         netip.Addr
		srcPort, dstPort uint16
	)
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case tupleIP:
			src, dst = in.addresses()
		case tupleProto:
			srcPort, dstPort = in.protocol(&t)
		case tupleZone:
			t.Zone = in.Uint16()
		}
	}
	t.Src, t.Dst = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
	d.inherit(&in)
	return t
}

// addresses decodes a nested pair of addresses: enum ctattr_ip.
func (d *Decoder) addresses() (src, dst netip.Addr) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case ipV4Src:
			src = netip.AddrFrom4([4]byte(in.Fixed(4)))
		case ipV4Dst:
			dst = netip.AddrFrom4([4]byte(in.Fixed(4)))
		case ipV6Src:
			src = netip.AddrFrom16([16]byte(in.Fixed(16)))
		case ipV6Dst:
			dst = netip.AddrFrom16([16]byte(in.Fixed(16)))
		}
	}
	d.inherit(&in)
	return src, dst
}

// protocol decodes the fields by which a protocol distinguishes connections: enum
// ctattr_l4proto. It returns the ports, and sets the others in t.
func (d *Decoder) protocol(t *Tuple) (srcPort, dstPort uint16) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case protoNum:
			t.Protocol = in.Uint8()
		case protoSrcPort:
			srcPort = in.Uint16()
		case protoDstPort:
			dstPort = in.Uint16()
		case protoICMPID, protoICMPv6ID:
			t.ICMPID = in.Uint16()
		case protoICMPType, protoICMPv6Type:
			t.ICMPType = in.Uint8()
		case protoICMPCode, protoICMPv6Code:
			t.ICMPCode = in.Uint8()
		}
	}
	d.inherit(&in)
	return srcPort, dstPort
}

// isICMP reports whether packets of the protocol have no ports but an ID.
func isICMP(protocol uint8) bool {
	const icmp, icmpv6 = 1, 58 // IPPROTO_ICMP, IPPROTO_ICMPV6
	return protocol == icmp || protocol == icmpv6
}

// appendTuple adds a nested tuple of a protocol with ports, whose addresses are
// of one family.
func appendTuple(b []byte, typ uint16, protocol uint8, src, dst netip.AddrPort) []byte {
	start := len(b)
	b = BeginNested(b, typ)
	b = appendAddresses(b, src.Addr(), dst.Addr())
	proto := len(b)
	b = BeginNested(b, tupleProto)
	b = AppendUint8(b, protoNum, protocol)
	b = AppendUint16(b, protoSrcPort, src.Port())
	b = AppendUint16(b, protoDstPort, dst.Port())
	b = EndNested(b, proto)
	return EndNested(b, start)
}

// appendAddresses adds a nested pair of addresses.
func appendAddresses(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = BeginNested(b, tupleIP)
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		b = AppendBytes(b, ipV4Src, s[:])
		b = AppendBytes(b, ipV4Dst, d[:])
	} else {
		s, d := src.As16(), dst.As16()
		b = AppendBytes(b, ipV6Src, s[:])
		b = AppendBytes(b, ipV6Dst, d[:])
	}
	return EndNested(b, start)
}
