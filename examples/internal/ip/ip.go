// Package ip finds in a packet what the examples look at or edit.
package ip

import "encoding/binary"

// The protocols that are looked into.
const (
	TCP = 6
	UDP = 17
)

// Addrs returns the bytes of the source and the destination address, and what
// follows the IP header with its protocol: nothing of a fragment other than the
// first, or behind an IPv6 extension header. All of it aliases b.
func Addrs(b []byte) (src, dst []byte, protocol byte, transport []byte) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		src, dst, protocol = b[12:16], b[16:20], b[9]
		header := int(b[0]&0xf) * 4
		if fragment := binary.BigEndian.Uint16(b[6:])&0x1fff != 0; !fragment && header <= len(b) {
			transport = b[header:]
		}
	case len(b) >= 40 && b[0]>>4 == 6:
		src, dst, protocol, transport = b[8:24], b[24:40], b[6], b[40:]
	}
	return src, dst, protocol, transport
}

// Data returns the data of a UDP datagram or a TCP segment, which aliases b; nil
// of other packets.
func Data(b []byte) []byte {
	_, _, protocol, t := Addrs(b)
	header := 0
	switch {
	case protocol == UDP:
		header = 8
	case protocol == TCP && len(t) >= 20:
		header = int(t[12]>>4) * 4
	}
	if header == 0 || header > len(t) {
		return nil
	}
	return t[header:]
}
