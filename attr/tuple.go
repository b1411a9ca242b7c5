package attr

import (
	"fmt"
	"net/netip"
)

// A Tuple is one direction of a connection as the kernel tells connections
// apart.
type Tuple struct {
	// Src and Dst have port 0 where the protocol has no ports. For GRE the
	// ports are its keys.
	Src, Dst netip.AddrPort

	Protocol uint8 // IPPROTO_ number: 6 for TCP, 17 for UDP

	// For ICMP and ICMPv6.
	ICMPType, ICMPCode uint8
	ICMPID             uint16

	Zone uint16 // if the connection's zone is for this direction only, else 0
}

// String returns the tuple as in "6 192.0.2.1:4660 > 192.0.2.2:80", with the
// number of the protocol first.
func (t Tuple) String() string {
	return fmt.Sprintf("%d %v > %v", t.Protocol, t.Src, t.Dst)
}

// tuple decodes a nested Tuple: enum ctattr_tuple.
//
//	| IP | protocol | zone |
func (d *Decoder) tuple() Tuple {
	const (
		ip    = 1 // CTA_TUPLE_IP
		proto = 2 // CTA_TUPLE_PROTO
		zone  = 3 // CTA_TUPLE_ZONE
	)
	var (
		t                Tuple
		src, dst         netip.Addr
		srcPort, dstPort uint16
	)
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case ip:
			src, dst = in.addresses()
		case proto:
			srcPort, dstPort = in.protocol(&t)
		case zone:
			t.Zone = in.Uint16()
		}
	}
	t.Src, t.Dst = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
	d.inherit(&in)
	return t
}

// addresses decodes a nested pair of addresses: enum ctattr_ip.
func (d *Decoder) addresses() (src, dst netip.Addr) {
	const (
		v4Src = 1 // CTA_IP_V4_SRC
		v4Dst = 2 // CTA_IP_V4_DST
		v6Src = 3 // CTA_IP_V6_SRC
		v6Dst = 4 // CTA_IP_V6_DST
	)
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case v4Src:
			src = netip.AddrFrom4([4]byte(in.Fixed(4)))
		case v4Dst:
			dst = netip.AddrFrom4([4]byte(in.Fixed(4)))
		case v6Src:
			src = netip.AddrFrom16([16]byte(in.Fixed(16)))
		case v6Dst:
			dst = netip.AddrFrom16([16]byte(in.Fixed(16)))
		}
	}
	d.inherit(&in)
	return src, dst
}

// protocol decodes what a protocol tells connections apart by, into t but for
// the ports: enum ctattr_l4proto.
func (d *Decoder) protocol(t *Tuple) (srcPort, dstPort uint16) {
	const (
		num        = 1 // CTA_PROTO_NUM
		src        = 2 // CTA_PROTO_SRC_PORT
		dst        = 3 // CTA_PROTO_DST_PORT
		icmpID     = 4 // CTA_PROTO_ICMP_ID
		icmpType   = 5 // CTA_PROTO_ICMP_TYPE
		icmpCode   = 6 // CTA_PROTO_ICMP_CODE
		icmpv6ID   = 7 // CTA_PROTO_ICMPV6_ID
		icmpv6Type = 8 // CTA_PROTO_ICMPV6_TYPE
		icmpv6Code = 9 // CTA_PROTO_ICMPV6_CODE
	)
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case num:
			t.Protocol = in.Uint8()
		case src:
			srcPort = in.Uint16()
		case dst:
			dstPort = in.Uint16()
		case icmpID, icmpv6ID:
			t.ICMPID = in.Uint16()
		case icmpType, icmpv6Type:
			t.ICMPType = in.Uint8()
		case icmpCode, icmpv6Code:
			t.ICMPCode = in.Uint8()
		}
	}
	d.inherit(&in)
	return srcPort, dstPort
}
