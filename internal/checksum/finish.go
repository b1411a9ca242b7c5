// Package checksum sets and verifies the lengths and checksums of IP packets.
// Its functions are pure: they know nothing of queues and kernels. nfqueue.Finish
// is Finish.
package checksum

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nfpacket/nfpacket/internal/ipheader"
)

var (
	// ErrNotIP is wrapped by errors for bytes that are not an IPv4 or IPv6 packet.
	ErrNotIP = errors.New("not an IPv4 or IPv6 packet (WithRawPayload sends it unchanged)")

	// ErrBadHeader is wrapped by errors for a packet whose headers are truncated,
	// contradict its length, or do not determine what the checksum covers.
	ErrBadHeader = errors.New("lengths and checksums cannot be set, because of the packet's headers (WithRawPayload sends it unchanged)")
)

// Options say what is particular about a packet that is to be finished. The zero
// Options are for a packet as it is on the wire, UDP up to its end.
type Options struct {
	// PartialUDP asks for the sum of the pseudo-header alone, not complemented,
	// in the checksum field of UDP. That is what a packet that the kernel will cut
	// up (UDP GSO) carries: ~csum_tcpudp_magic, see udp4_hwcsum and
	// __udp_gso_segment in net/ipv4.
	PartialUDP bool

	// KeepSurplus leaves as many bytes behind a UDP datagram as there are by the
	// lengths in b's headers, and does not make them its data. Lengths that make no
	// sense together, or that are set already, leave none.
	KeepSurplus bool
}

// Finish sets the lengths and checksums of the IP packet b, in place. An error
// wraps ErrNotIP or ErrBadHeader, and then b is as it was.
func Finish(b []byte) error { return FinishWith(b, Options{}) }

// FinishWith is Finish with options.
func FinishWith(b []byte, o Options) error {
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
	if p == &udp && o.KeepSurplus {
		seg = seg[:len(seg)-h.surplus(b)]
	}
	n, err := p.coverage(seg)
	if err != nil {
		return err
	}
	if p.pseudo && h.dst == nil {
		return fmt.Errorf("%w: the packet has a source route, so the destination that the %s checksum covers is not known", ErrBadHeader, p.name)
	}
	h.finishIP(b)
	if p == &udp {
		binary.BigEndian.PutUint16(seg[4:], uint16(len(seg)))
	}
	if p == &udp && o.PartialUDP {
		binary.NativeEndian.PutUint16(seg[p.field:], fold(h.pseudoSum(len(seg))))
		return nil
	}
	p.set(&h, seg, n)
	return nil
}

// surplus returns how many bytes behind the UDP datagram in b are not its own,
// by the lengths in the headers, which may be those of a packet that has become
// longer or shorter.
func (h *headers) surplus(b []byte) int {
	seg := b[h.offset:]
	if len(seg) < udp.header {
		return 0
	}
	n := int(binary.BigEndian.Uint16(seg[4:]))
	surplus := h.length(b) - h.offset - n
	if n < udp.header || n == len(seg) || surplus < 0 || surplus > len(seg)-udp.header {
		return 0
	}
	return surplus
}

// Sets reports whether Finish has a transport checksum to set in b. If it
// hasn't, a packet whose checksum the kernel has left pending must not be sent
// back: the kernel takes a payload's checksums for final.
func Sets(b []byte) bool {
	h, err := parseHeaders(b)
	return err == nil && h.transport() != nil
}

// OK reports whether the lengths and checksums of b are right as they stand. It
// is for finding a corrupt packet, which a new checksum would make look sound.
// What can't be judged is OK: other protocols than IP, transports that Finish
// doesn't know, fragments, and UDP without a checksum. A checksum that the kernel
// has left pending is not OK; the caller knows of those.
func OK(b []byte) bool {
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

// Pending reports whether the transport checksum of b is the one that is yet to
// be computed: then its field has the sum of the pseudo-header. Where the kernel
// has left a checksum pending and this says no, it is that of a packet further
// inside, in a tunnel (udp_set_csum, udp_tunnel_xmit_skb). A UDP header that
// leaves the checksum out is no match either.
func Pending(b []byte) bool {
	h, err := parseHeaders(b)
	if err != nil {
		return false
	}
	p, end := h.transport(), h.length(b)
	if p == nil || !p.pseudo || h.dst == nil || end < h.offset+p.header || end > len(b) {
		return false
	}
	field := binary.NativeEndian.Uint16(b[h.offset+p.field:])
	return field == fold(h.pseudoSum(end-h.offset))
}

// finishIP sets the length and checksum in the IP header.
func (h *headers) finishIP(b []byte) {
	if h.version == 6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipheader.IPv6Len))
		return
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[10], b[11] = 0, 0
	binary.NativeEndian.PutUint16(b[10:], ^fold(sum(0, b[:h.offset])))
}

// length returns where the packet ends by what its IP header says.
func (h *headers) length(b []byte) int {
	if h.version == 6 {
		return ipheader.IPv6Len + int(binary.BigEndian.Uint16(b[4:]))
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
