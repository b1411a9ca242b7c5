package checksum

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/nfpacket/nfpacket/internal/ipheader"
)

// A transport is a protocol whose checksum finish can set.
type transport struct {
	name   string
	header int  // length of the fixed header in bytes
	field  int  // where in it the checksum is
	pseudo bool // whether the checksum covers a pseudo-header
}

var (
	tcp     = transport{name: "TCP", header: 20, field: 16, pseudo: true}
	udp     = transport{name: "UDP", header: 8, field: 6, pseudo: true}
	udpLite = transport{name: "UDP-Lite", header: 8, field: 6, pseudo: true}
	icmp    = transport{name: "ICMP", header: 8, field: 2, pseudo: false}
	icmpv6  = transport{name: "ICMPv6", header: 8, field: 2, pseudo: true}
	sctp    = transport{name: "SCTP", header: 12, field: 8, pseudo: false}
)

// transport returns the protocol of the packet, or nil where there is no
// checksum to set: it is a fragment, or finish doesn't know the protocol.
func (h *headers) transport() *transport {
	switch {
	case h.fragment:
		return nil
	case h.proto == ipheader.TCP:
		return &tcp
	case h.proto == ipheader.UDP:
		return &udp
	case h.proto == ipheader.UDPLite:
		return &udpLite
	case h.proto == ipheader.SCTP:
		return &sctp
	case h.proto == ipheader.ICMP && h.version == 4:
		return &icmp
	case h.proto == ipheader.ICMPv6 && h.version == 6:
		return &icmpv6
	}
	return nil
}

// coverage returns how many bytes of seg the checksum covers: all, except with
// UDP-Lite, which has the number where UDP has its length. Its zero means all;
// less than the header, or more than there is, is illegal (RFC 3828 section
// 3.1).
func (p *transport) coverage(seg []byte) (int, error) {
	if len(seg) < p.header {
		return 0, fmt.Errorf("%w: %s header of %d bytes", ErrBadHeader, p.name, len(seg))
	}
	if p != &udpLite {
		return len(seg), nil
	}
	n := int(binary.BigEndian.Uint16(seg[4:]))
	if n == 0 {
		return len(seg), nil
	}
	if n < p.header || n > len(seg) {
		return 0, fmt.Errorf("%w: UDP-Lite coverage of %d bytes, of %d", ErrBadHeader, n, len(seg))
	}
	return n, nil
}

// set writes the checksum of the first n bytes of seg.
func (p *transport) set(h *headers, seg []byte, n int) {
	if p == &sctp {
		binary.LittleEndian.PutUint32(seg[p.field:], sctpSum(seg))
		return
	}
	var acc uint64
	if p.pseudo {
		acc = h.pseudoSum(len(seg))
	}
	seg[p.field], seg[p.field+1] = 0, 0
	check := ^fold(sum(acc, seg[:n]))
	if check == 0 && (p == &udp || p == &udpLite) {
		check = allOnes // zero is for no checksum; in one's complement both are zero
	}
	binary.NativeEndian.PutUint16(seg[p.field:], check)
}

// verify reports whether seg has the checksum it should have.
func (p *transport) verify(h *headers, seg []byte) bool {
	n, err := p.coverage(seg)
	if err != nil {
		return false
	}
	switch p {
	case &sctp:
		return binary.LittleEndian.Uint32(seg[p.field:]) == sctpSum(seg)
	case &udp:
		n = int(binary.BigEndian.Uint16(seg[4:]))
		if n < p.header || n > len(seg) {
			return false
		}
		seg = seg[:n]
		// With IPv6 too: tunnels leave it out (RFC 6935), and udp_error in
		// nf_conntrack_proto_udp.c lets it pass.
		if seg[p.field] == 0 && seg[p.field+1] == 0 {
			return true
		}
	case &udpLite:
		if seg[p.field] == 0 && seg[p.field+1] == 0 {
			return false
		}
	}
	var acc uint64
	if p.pseudo {
		acc = h.pseudoSum(len(seg))
	}
	return fold(sum(acc, seg[:n])) == allOnes
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sctpSum returns the CRC32c of an SCTP packet with zeros for the checksum,
// RFC 9260 section 6.8. It goes on the wire in little-endian order (appendix A).
func sctpSum(seg []byte) uint32 {
	const field = 8
	crc := crc32.Update(0, castagnoli, seg[:field])
	crc = crc32.Update(crc, castagnoli, zeros[:])
	return crc32.Update(crc, castagnoli, seg[field+len(zeros):])
}

// zeros stands for the checksum in sctpSum. A local array would be allocated,
// since the compiler can't see that crc32 lets go of it.
var zeros [4]byte
