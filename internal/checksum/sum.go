package checksum

import (
	"encoding/binary"
	"math/bits"
)

// The Internet checksum, RFC 1071, does not depend on byte order: summing words
// as the machine loads them gives the sum as the machine stores it. So sum and
// fold work in host order, and only numbers that are not taken from the packet
// have to be brought there, by word.

// Sum returns the sum of the 16-bit words of all three, in one's complement and
// the machine's byte order. An odd byte at the end of one counts as if a zero followed.
func Sum(b, c, d []byte) uint16 { return fold(sum(sum(sum(0, b), c), d)) }

// allOnes is the sum of bytes that have the right checksum among them.
const allOnes = 0xffff

// sum adds the 16-bit words of b to acc, in one's complement. An odd byte at
// the end counts as if a zero followed.
func sum(acc uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 32 {
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) >= 4 {
		acc, carry = bits.Add64(acc, uint64(binary.NativeEndian.Uint32(b)), carry)
		b = b[4:]
	}
	if len(b) >= 2 {
		acc, carry = bits.Add64(acc, uint64(binary.NativeEndian.Uint16(b)), carry)
		b = b[2:]
	}
	if len(b) > 0 {
		acc, carry = bits.Add64(acc, word(uint16(b[0])<<8), carry)
	}
	acc, carry = bits.Add64(acc, 0, carry)
	return acc + carry
}

// fold brings a sum down to 16 bits.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// word returns v as sum would have loaded it from a packet.
func word(v uint16) uint64 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return uint64(binary.NativeEndian.Uint16(b[:]))
}
