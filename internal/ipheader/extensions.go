package ipheader

import "encoding/binary"

// Extensions steps through the extension headers of an IPv6 packet:
//
//	for x := ipheader.ExtensionsOf(b); x.Step(); {
//		// x.Kind, x.Bytes
//	}
//
// It does not stop at AH or in a fragment; who reads on there must know why.
type Extensions struct {
	Kind  uint8  // number of the header in Bytes
	Bytes []byte // the whole header
	Next  uint8  // number of what follows it

	b   []byte
	at  int
	cut bool
}

// ExtensionsOf begins at the first header behind b's, which has 40 bytes at least.
func ExtensionsOf(b []byte) Extensions {
	return Extensions{Next: b[6], b: b, at: IPv6Len}
}

// Step goes to the next header, and reports whether there is one.
//
//	| next header | length, in units of 8 bytes after the first 8 | ... |
func (x *Extensions) Step() bool {
	rest := x.b[x.at:]
	n := 8
	switch x.Next {
	case HopByHop, Routing, Destinations:
		if len(rest) >= n {
			n += int(rest[1]) * 8
		}
	case AH: // in units of 4 bytes: ipv6_authlen
		if len(rest) >= n {
			n = (int(rest[1]) + 2) * 4
		}
	case FragmentID: // there the length is reserved
	default:
		return false
	}
	if n > len(rest) {
		x.stop(rest)
		return false
	}
	x.Kind, x.Bytes, x.Next = x.Next, rest[:n], rest[0]
	x.at += n
	return true
}

// stop notes that a header is not whole. What follows it is known all the same
// if its first 8 bytes are there.
func (x *Extensions) stop(rest []byte) {
	x.cut = true
	x.Kind, x.Bytes = x.Next, rest
	if len(rest) >= 8 {
		x.Next = rest[0]
	}
}

// Cut reports, when Step has returned false, whether that was because the
// header of number Kind is not whole. Bytes then has what there is of it.
func (x *Extensions) Cut() bool { return x.cut }

// End returns where in the packet the headers so far end.
func (x *Extensions) End() int { return x.at }

// Fragment returns the offset, in bytes, and the flag of the fragment header in
// Bytes.
//
//	| next header | reserved | offset, 2 bits, more | identification |
func (x *Extensions) Fragment() (offset int, more bool) {
	const offsetMask, moreFlag = 0xfff8, 1 // IP6_OFFSET, IP6_MF of net/ipv6.h
	field := binary.BigEndian.Uint16(x.Bytes[2:])
	return int(field & offsetMask), field&moreFlag != 0
}
