package checksum

import (
	"bytes"
	"math/rand/v2"
)

// randomPacket returns a packet with options or extension headers, of which some
// make no sense, and with another packet inside now and then.
func randomPacket(r *rand.Rand) []byte {
	proto := []byte{1, 6, 6, 17, 17, 17, 58, 132, 136, 136, 4, 41, 47, 50, 51, 59}[r.IntN(16)]
	rest := randomBytes(r, 8+r.IntN(120))
	switch {
	case r.IntN(100) == 0:
		rest = randomBytes(r, r.IntN(2000))
	case r.IntN(30) == 0:
		rest = rest[:r.IntN(len(rest))]
	case proto == 136:
		put(rest, 4, r.IntN(len(rest)+1))
	case proto == 6:
		rest = append(randomBytes(r, 12), rest...)
	case proto == 4 || proto == 41 || proto == 47:
		rest = append(rest[:r.IntN(2)*8], randomPacket(r)...)
	}
	if r.IntN(2) == 0 {
		return append(randomIP4(r, proto), rest...)
	}
	return append(randomIP6(r, proto), rest...)
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	if r.IntN(8) == 0 { // sums with many carries, and with none
		copy(b, bytes.Repeat([]byte{byte(-r.IntN(2))}, n))
	}
	return b
}

func randomIP4(r *rand.Rand, proto byte) []byte {
	b := randomBytes(r, 20)
	b[6], b[7] = byte(r.IntN(2))<<6, 0
	if r.IntN(10) == 0 { // a fragment
		b[6], b[7] = byte(r.Uint32()), byte(r.Uint32())
	}
	if r.IntN(3) == 0 {
		b = append(b, randomOptions4(r)...)
	}
	b[0], b[9] = 0x40|byte(len(b)/4), proto
	return b
}

// randomOptions4 returns options of at most 40 bytes.
func randomOptions4(r *rand.Rand) (b []byte) {
	for r.IntN(3) > 0 {
		typ := []byte{0, 1, 7, 68, 131, 137, byte(r.Uint32())}[r.IntN(7)]
		n := r.IntN(9)
		option := append([]byte{typ, byte(2 + n)}, randomBytes(r, n)...)
		if n > 0 && r.IntN(2) == 0 {
			option[2] = byte(4 * r.IntN(4))
		}
		if typ < 2 {
			option = option[:1]
		}
		if r.IntN(20) == 0 && len(option) > 1 {
			option[1] = byte(r.Uint32())
		}
		b = append(b, option...)
	}
	b = append(b, make([]byte, -len(b)&3)...)
	return b[:min(len(b), 40)]
}

// randomIP6 returns a header with a chain of extension headers.
func randomIP6(r *rand.Rand, proto byte) []byte {
	b := randomBytes(r, 40)
	b[0] = 0x60 | b[0]&15
	next := 6 // where the number of what comes goes
	for r.IntN(2) == 0 {
		typ := []byte{0, 43, 44, 60, 60}[r.IntN(5)]
		header := randomExtension(r, typ)
		b[next], next = typ, len(b)
		b = append(b, header...)
	}
	b[next] = proto
	return b
}

func randomExtension(r *rand.Rand, typ byte) []byte {
	units := r.IntN(4)
	b := randomBytes(r, 8+8*units)
	b[1] = byte(units)
	switch typ {
	case 43:
		b[2], b[3] = byte(r.IntN(6)), byte(r.IntN(3))
	case 44:
		b = b[:8]
		b[2], b[3] = 0, b[3]&6
		if r.IntN(4) == 0 {
			b[2], b[3] = byte(r.Uint32()), byte(r.Uint32())
		}
	default:
		for i := 2; i < len(b); { // options
			n := r.IntN(min(20, len(b)-i))
			b[i] = []byte{0, 1, 5, 0xc9, 0xc2, 0xc9, 1, 1}[r.IntN(8)]
			if b[i] == 0xc9 && len(b)-i >= 18 {
				n = 18 - 2
			}
			if i+1 < len(b) && b[i] != 0 {
				b[i+1] = byte(n)
				i += 1 + n
			}
			i++
		}
	}
	return b
}
