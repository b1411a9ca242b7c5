package nfqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrNotIP says that bytes to be finished are not an IPv4 or IPv6 packet.
	ErrNotIP = errors.New("not an IPv4 or IPv6 packet (WithRawPayload sends it as it is)")

	// ErrHeader says that a packet can't be finished because its headers are
	// cut short, contradict its length, or leave open what the checksum covers.
	ErrHeader = errors.New("packet headers can't be finished (WithRawPayload sends them as they are)")
)

// Finish sets the lengths and checksums of the IP packet b, in place, after its
// contents were changed. b is the whole packet from its network header on.
//
// It sets the total length and header checksum of IPv4, the payload length of
// IPv6, the length of UDP, and the checksums of TCP, UDP, UDP-Lite, ICMP,
// ICMPv6 and SCTP, also behind IPv4 options and IPv6 extension headers. Other
// protocols have nothing set behind the IP header. That includes AH and ESP:
// what they carry is protected, and a checksum set there would break the proof.
//
// The checksum of a fragmented datagram covers bytes that b doesn't have, so
// Finish leaves a fragment's transport header alone. It does not look into
// tunnels, or into the packet an ICMP error quotes. How much of a packet UDP-Lite
// covers is for the caller to say, in its header.
//
// Finish returns an error that wraps [ErrNotIP] or [ErrHeader], and then b is as
// it was. It does not allocate unless it fails.
//
// A payload given to [Verdict.WithPayload] is finished anyway.
func Finish(b []byte) error {
	return finish(b, false)
}

// finish is Finish. With partialUDP the checksum field of UDP gets the sum of
// the pseudo-header alone, not complemented. That is what a packet that the
// kernel will cut up (UDP GSO) carries: ~csum_tcpudp_magic, see udp4_hwcsum and
// __udp_gso_segment in net/ipv4.
func finish(b []byte, partialUDP bool) error {
	h, err := parseHeaders(b)
	if err != nil {
		return err
	}
	p := h.transport()
	if p == nil {
		h.finishIP(b)
		return nil
	}
	seg := b[h.offset:]
	n, err := p.coverage(seg)
	if err != nil {
		return err
	}
	if p.pseudo && h.dst == nil {
		return fmt.Errorf("%w: the route in them leaves open which destination the %s checksum is for", ErrHeader, p.name)
	}
	h.finishIP(b)
	if p == &udp {
		binary.BigEndian.PutUint16(seg[4:], uint16(len(seg)))
	}
	if p == &udp && partialUDP {
		binary.NativeEndian.PutUint16(seg[p.field:], fold(h.pseudoSum(len(seg))))
		return nil
	}
	p.set(&h, seg, n)
	return nil
}

// finishable reports whether finish has a transport checksum to set in b. If
// it hasn't, a packet whose checksum the kernel has left pending must not be
// sent back: the kernel takes a payload's checksums for final.
func finishable(b []byte) bool {
	h, err := parseHeaders(b)
	return err == nil && h.transport() != nil
}

// checksumOK reports whether the lengths and checksums of b are right as they
// stand. It is for finding a corrupt packet, which a new checksum would make
// look sound. What can't be judged is OK: other protocols than IP, transports
// that finish doesn't know, fragments, and UDP without a checksum. A checksum
// that the kernel has left pending is not OK; the caller knows of those.
func checksumOK(b []byte) bool {
	h, err := parseHeaders(b)
	if err != nil {
		return errors.Is(err, ErrNotIP)
	}
	// Link layers pad short frames, so a packet may end before b does.
	end := h.length(b)
	if end < h.offset || end > len(b) {
		return false
	}
	if h.version == 4 && fold(sum(0, b[:h.offset])) != allOnes {
		return false
	}
	p := h.transport()
	if p == nil || p.pseudo && h.dst == nil {
		return true
	}
	return p.verify(&h, b[h.offset:end])
}

// finishIP sets the length and checksum in the IP header.
func (h *headers) finishIP(b []byte) {
	if h.version == 6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[10], b[11] = 0, 0
	binary.NativeEndian.PutUint16(b[10:], ^fold(sum(0, b[:h.offset])))
}

// length returns where the packet ends by what its IP header says.
func (h *headers) length(b []byte) int {
	if h.version == 6 {
		return ipv6Len + int(binary.BigEndian.Uint16(b[4:]))
	}
	return int(binary.BigEndian.Uint16(b[2:]))
}

// pseudoSum sums the pseudo-header for a segment of n bytes, RFC 8200 section
// 8.1 and RFC 9293 section 3.1. The two families lay it out differently; what
// it adds up to is the same.
//
//	| source address | destination address | length | zero, protocol |
func (h *headers) pseudoSum(n int) uint64 {
	acc := word(uint16(n)) + word(uint16(h.proto))
	return sum(sum(acc, h.src), h.dst)
}
