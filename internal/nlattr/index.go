package nlattr

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
)

// This file is for walking a list of attributes with an index into it, at half of
// what an attr.Decoder costs. The caller has checked that the attribute is all there.

// The header of an attribute, struct nlattr of linux/netlink.h: 16 bits each for
// its length, which includes the header, and for its type with two flags.
const (
	HeaderLen = 4      // NLA_HDRLEN
	TypeMask  = 0x3fff // NLA_TYPE_MASK
)

// Align rounds n up to where the next attribute or message may start.
func Align(n int) int { return (n + 3) &^ 3 } // NLA_ALIGN, NLMSG_ALIGN

// ValueAt returns the value of the attribute of n bytes at b[at]. It aliases b.
func ValueAt(b []byte, at, n int) []byte { return b[at+HeaderLen : at+n : at+n] }

// Uint16At returns the value of the attribute at b[at] as a 16-bit integer.
func Uint16At(b []byte, at int) uint16 {
	return binary.BigEndian.Uint16(b[at+HeaderLen : at+HeaderLen+2])
}

// Uint32At returns the value of the attribute at b[at] as a 32-bit integer.
func Uint32At(b []byte, at int) uint32 {
	return binary.BigEndian.Uint32(b[at+HeaderLen : at+HeaderLen+4])
}

// Lengths has, for each type of attribute, how many bytes its value must at least
// have. Types that are not in it may be empty.
type Lengths []uint8

// Least returns how long an attribute must at least be, with its header.
func (l Lengths) Least(typ uint16) int {
	if int(typ) < len(l) {
		return HeaderLen + int(l[typ])
	}
	return HeaderLen
}

// Check returns what is wrong with the attributes in b, nil if they only end in
// the padding of something else.
func (l Lengths) Check(b []byte) error {
	d := attr.NewDecoder(b)
	for d.Next() {
		d.Fixed(l.Least(d.Type()) - HeaderLen)
	}
	return d.Err()
}
