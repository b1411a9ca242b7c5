package nfqueue

import "github.com/nfpacket/nfpacket/internal/checksum"

var (
	// ErrNotIP says that bytes to be finished are not an IPv4 or IPv6 packet.
	ErrNotIP = checksum.ErrNotIP

	// ErrBadHeader says that a packet can't be finished because its headers are
	// cut short, contradict its length, or leave open what the checksum covers.
	ErrBadHeader = checksum.ErrBadHeader
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
// covers is for the caller to say, in its header. A UDP datagram reaches to the
// end of b.
//
// A packet that was damaged before looks right when it is finished; WithPayload
// refuses such a one (ErrCorrupt), Finish does not know.
//
// Finish returns an error that wraps [ErrNotIP] or [ErrBadHeader], and then b is as
// it was. It does not allocate unless it fails.
//
// A payload given to [Verdict.WithPayload] is finished anyway.
func Finish(b []byte) error { return checksum.Finish(b) }
