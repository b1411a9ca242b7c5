package checksum

import (
	"encoding/binary"
	"fmt"

	"github.com/nfpacket/nfpacket/internal/ipheader"
)

// headers is what the network headers of a packet say about the rest of it.
type headers struct {
	version  uint8
	proto    uint8  // protocol number of what follows the headers
	fragment bool   // that is a part of a datagram only
	offset   int    // where in the packet it starts
	src, dst []byte // of the pseudo-header; dst is nil if a route leaves it open
}

// parseHeaders reads the network headers of b. The addresses alias b.
func parseHeaders(b []byte) (headers, error) {
	if len(b) == 0 {
		return headers{}, fmt.Errorf("%w: it has no bytes", ErrNotIP)
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return headers{}, fmt.Errorf("%w: it starts with %#02x", ErrNotIP, b[0])
}

// parseIPv4 reads the header of an IPv4 packet.
//
//	 0         1         2         4         6         8
//	| version, | service | total length      | ident.  | flags, offset |
//	| length   |         |                   |         | of fragment   |
//	 8         9         10        12        16        20
//	| hop      | protocol| checksum| source  | destin- | options       |
//	| limit    |         |         | address | ation   |               |
func parseIPv4(b []byte) (headers, error) {
	if len(b) < ipheader.IPv4Len || len(b) > 0xffff {
		return headers{}, fmt.Errorf("%w: IPv4 packet of %d bytes", ErrBadHeader, len(b))
	}
	n := int(b[0]&0xf) * 4
	if n < ipheader.IPv4Len || n > len(b) {
		return headers{}, fmt.Errorf("%w: IPv4 header of %d bytes in a packet of %d", ErrBadHeader, n, len(b))
	}
	h := headers{
		version:  4,
		proto:    b[9],
		fragment: binary.BigEndian.Uint16(b[6:])&0x3fff != 0, // IP_OFFSET | IP_MF of net/ip.h
		offset:   n,
		src:      b[12:16],
		dst:      b[16:20],
	}
	if sourceRouted(b[ipheader.IPv4Len:n]) {
		h.dst = nil
	}
	return h, nil
}

// sourceRouted reports whether the options have a source route that has not
// been travelled to its end. Then it is open what a checksum is for: in Linux
// (6.18), TCP sums the last address of the route and UDP the next hop. Options
// that contradict their length end the search, as a router would drop them.
//
//	| type | length | pointer | address ... |
func sourceRouted(options []byte) bool {
	const (
		end    = 0   // IPOPT_END of linux/ip.h, a single byte
		noop   = 1   // IPOPT_NOOP, a single byte
		loose  = 131 // IPOPT_LSRR
		strict = 137 // IPOPT_SSRR
	)
	for o := options; len(o) > 0 && o[0] != end; {
		if o[0] == noop {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return false
		}
		n := int(o[1])
		if (o[0] == loose || o[0] == strict) && n >= 3 && int(o[2]) <= n {
			return true
		}
		o = o[n:]
	}
	return false
}

// parseIPv6 reads the headers of an IPv6 packet up to the first that is no
// extension header, or, in a fragment, up to the fragment's bytes. AH counts as
// the end of them: what it protects is not to be changed.
//
//	 0               4                6             7           8        24       40
//	| version, class, | payload length | next header | hop limit | source | destin- | headers
//	| flow label      |                |             |           |        | ation   | to follow
func parseIPv6(b []byte) (headers, error) {
	if len(b) < ipheader.IPv6Len || len(b)-ipheader.IPv6Len > 0xffff {
		return headers{}, fmt.Errorf("%w: IPv6 packet of %d bytes", ErrBadHeader, len(b))
	}
	h := headers{version: 6, src: b[8:24], dst: b[24:40]}
	x := ipheader.ExtensionsOf(b)
	for !h.fragment && x.Next != ipheader.AH && x.Step() {
		if err := h.apply(&x); err != nil {
			return headers{}, err
		}
	}
	if x.Cut() {
		return headers{}, fmt.Errorf("%w: IPv6 extension header %d cut short at %d bytes", ErrBadHeader, x.Kind, len(x.Bytes))
	}
	h.proto, h.offset = x.Next, x.End()
	return h, nil
}

// apply notes what an extension header changes about the rest of the packet.
func (h *headers) apply(x *ipheader.Extensions) error {
	const (
		jumbo = 0xc2 // IPV6_TLV_JUMBO of linux/in6.h
		home  = 0xc9 // IPV6_TLV_HAO
	)
	switch x.Kind {
	case ipheader.HopByHop:
		if optionIPv6(x.Bytes, jumbo) != nil {
			return fmt.Errorf("%w: IPv6 jumbogram", ErrBadHeader)
		}
	case ipheader.Destinations:
		// A mobile node's checksums are for its home address: RFC 6275
		// section 6.3.
		if a := optionIPv6(x.Bytes, home); len(a) == 16 {
			h.src = a
		}
	case ipheader.Routing:
		if segmentsLeft := x.Bytes[3]; segmentsLeft > 0 {
			h.dst = finalIPv6(x.Bytes)
		}
	case ipheader.FragmentID:
		// A fragment header with no offset and no more to come is on a whole
		// datagram: RFC 6946.
		offset, more := x.Fragment()
		h.fragment = offset != 0 || more
	}
	return nil
}

// finalIPv6 returns the last address of a routing header, which the checksum
// is for (RFC 8200 section 8.1), or nil if the header is of a type with no
// address to be read.
//
//	| next | length | type | segments left | 4 bytes | address ... |
func finalIPv6(ext []byte) []byte {
	const (
		sourceRoute    = 0 // IPV6_SRCRT_TYPE_0 of linux/ipv6.h
		mobile         = 2 // IPV6_SRCRT_TYPE_2
		segmentRouting = 4 // IPV6_SRCRT_TYPE_4
	)
	if len(ext) < 8+16 {
		return nil
	}
	switch ext[2] {
	case sourceRoute:
		return ext[len(ext)-16:]
	case mobile, segmentRouting: // segments come last first: RFC 8754 section 2
		return ext[8:24]
	}
	return nil
}

// optionIPv6 returns the data of the first option of a type in an extension
// header of options, or nil if there is none.
//
//	| type | length of data | data ... |
func optionIPv6(ext []byte, typ byte) []byte {
	const pad1 = 0 // IPV6_TLV_PAD1, a single byte
	for o := ext[2:]; len(o) > 0; {
		if o[0] == pad1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || 2+int(o[1]) > len(o) {
			return nil
		}
		n := 2 + int(o[1])
		if o[0] == typ {
			return o[2:n]
		}
		o = o[n:]
	}
	return nil
}
