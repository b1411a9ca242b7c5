package checksum

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"
)

// The tests of this file hold Finish against another implementation, which follows
// the RFCs step by step: it knows no word but the byte, and nothing of this package.

// packets is how many TestFinishAgreesWithTheRFCs makes. Once it was 10,000,000.
var packets = flag.Int("packets", 20_000, "random packets to finish")

func TestFinishAgreesWithTheRFCs(t *testing.T) {
	finished := 0
	seed := rand.Uint64()
	for i := range *packets {
		if agree(t, seed+uint64(i)) {
			finished++
		}
		if t.Failed() {
			t.Fatalf("packet %d, seed %#x", i, seed)
		}
	}
	if finished < *packets/2 {
		t.Errorf("%d of %d packets could be finished", finished, *packets)
	}
}

// FuzzFinishAgreesWithTheRFCs makes a packet of a seed, and changes some bytes.
func FuzzFinishAgreesWithTheRFCs(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(0), byte(0))
		f.Add(seed, uint16(seed*5), byte(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, flip byte) {
		b := randomPacket(rand.New(rand.NewPCG(seed, 1)))
		b[int(at)%len(b)] ^= flip
		compare(t, b)
	})
}

// agree reports whether a random packet was finished, by both.
func agree(t *testing.T, seed uint64) bool {
	t.Helper()
	return compare(t, randomPacket(rand.New(rand.NewPCG(seed, 1))))
}

func compare(t *testing.T, in []byte) bool {
	t.Helper()
	want, ok := byTheRFCs(in)
	got := bytes.Clone(in)
	err := Finish(got)
	switch {
	case ok != (err == nil):
		t.Errorf("%x: got %v, by the RFCs it can be finished: %v", in, err, ok)
	case !bytes.Equal(got, want):
		t.Errorf("%x:\ngot  %x\nwant %x", in, got, want)
	case ok && !OK(got):
		t.Errorf("%x is not OK", got)
	}
	return ok
}

// byTheRFCs returns in finished; ok is false, and it is as it was, if it cannot be.
func byTheRFCs(in []byte) (out []byte, ok bool) {
	b := bytes.Clone(in)
	var proto, start int
	var addresses []byte // source and destination of the pseudo-header
	var whole, known bool
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		proto, start, addresses, whole, known = ip4(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		proto, start, addresses, whole, known = ip6(b)
	}
	if !known || whole && !upper(b[start:], proto, int(b[0]>>4), addresses) {
		return in, false
	}
	return b, true
}

// ip4 finishes the header of RFC 791.
func ip4(b []byte) (proto, start int, addresses []byte, whole, known bool) {
	start = int(b[0]%16) * 4
	if start < 20 || start > len(b) || len(b) > 65535 {
		return 0, 0, nil, false, false
	}
	put(b, 2, len(b))
	put(b, 10, 0)
	put(b, 10, complement(b[:start]))
	whole = b[6]&0x20 == 0 && b[6]&0x1f == 0 && b[7] == 0 // no more fragments, offset 0
	addresses = b[12:20]
	for i := 20; i < start && b[i] != 0; { // options: end, no operation, or a length
		if b[i] == 1 {
			i++
			continue
		}
		if i+1 >= start || b[i+1] < 2 || i+int(b[i+1]) > start {
			break
		}
		route := b[i] == 131 || b[i] == 137 // loose, strict
		if n := int(b[i+1]); route && n >= 3 && int(b[i+2]) <= n {
			addresses = nil // the route goes on: which destination is summed is open
		}
		i += int(b[i+1])
	}
	return int(b[9]), start, addresses, whole, true
}

// ip6 finishes the header of RFC 8200, and follows its extension headers.
func ip6(b []byte) (proto, start int, addresses []byte, whole, known bool) {
	if len(b)-40 > 65535 {
		return 0, 0, nil, false, false
	}
	put(b, 4, len(b)-40)
	proto, start, whole = int(b[6]), 40, true
	src, dst := b[8:24], b[24:40]
	open := false // where the packet goes at last
	for whole {
		length := 8
		switch proto {
		case 0, 43, 60:
			if start+8 <= len(b) {
				length = 8 * (1 + int(b[start+1]))
			}
		case 44:
		default:
			return proto, start, destination(src, dst, open), true, true
		}
		if start+length > len(b) {
			return 0, 0, nil, false, false
		}
		header := b[start : start+length]
		switch proto {
		case 0: // a jumbogram has no length: RFC 2675
			if _, jumbo := option(header, 0xc2); jumbo {
				return 0, 0, nil, false, false
			}
		case 60: // home address: RFC 6275, section 6.3
			if home, found := option(header, 0xc9); found && len(home) == 16 {
				src = home
			}
		case 43: // the last address of the route: RFC 8200, section 8.1
			if header[3] > 0 {
				dst, open = lastOf(header)
			}
		case 44:
			whole = header[2] == 0 && header[3]&0xf9 == 0
		}
		proto, start = int(header[0]), start+length
	}
	return proto, start, nil, false, true
}

func destination(src, dst []byte, open bool) []byte {
	if open {
		return nil
	}
	return append(bytes.Clone(src), dst...)
}

// option looks for the first option of a type.
func option(header []byte, typ byte) (data []byte, found bool) {
	for i := 2; i < len(header); {
		if header[i] == 0 { // one byte of padding
			i++
			continue
		}
		if i+1 >= len(header) || i+2+int(header[i+1]) > len(header) {
			return nil, false
		}
		if data = header[i+2 : i+2+int(header[i+1])]; header[i] == typ {
			return data, true
		}
		i += 2 + len(data)
	}
	return nil, false
}

// lastOf returns the last address of a routing header.
func lastOf(header []byte) (address []byte, open bool) {
	switch {
	case len(header) < 24:
	case header[2] == 0: // RFC 2460
		return header[len(header)-16:], false
	case header[2] == 2, header[2] == 4: // RFC 6275; RFC 8754, in reverse
		return header[8:24], false
	}
	return nil, true
}

// upper finishes what the IP packet carries; ok is false if it cannot be.
func upper(b []byte, proto, version int, addresses []byte) (ok bool) {
	pseudo := func(n int) []byte {
		return append(bytes.Clone(addresses), 0, 0, byte(n/256), byte(n%256), 0, 0, 0, byte(proto))
	}
	switch {
	case proto == 6 && len(b) >= 20 && addresses != nil: // RFC 9293
		put(b, 16, 0)
		put(b, 16, complement(pseudo(len(b)), b))
	case proto == 17 && len(b) >= 8 && addresses != nil: // RFC 768
		put(b, 4, len(b))
		put(b, 6, 0)
		put(b, 6, notZero(complement(pseudo(len(b)), b)))
	case proto == 136 && len(b) >= 8: // RFC 3828
		covered := int(b[4])*256 + int(b[5])
		if covered == 0 {
			covered = len(b)
		}
		if covered < 8 || covered > len(b) || addresses == nil {
			return false
		}
		put(b, 6, 0)
		put(b, 6, notZero(complement(pseudo(len(b)), b[:covered])))
	case proto == 1 && version == 4 && len(b) >= 8: // RFC 792
		put(b, 2, 0)
		put(b, 2, complement(b))
	case proto == 58 && version == 6 && len(b) >= 8 && addresses != nil: // RFC 4443
		put(b, 2, 0)
		put(b, 2, complement(pseudo(len(b)), b))
	case proto == 132 && len(b) >= 12: // RFC 9260
		copy(b[8:], "\x00\x00\x00\x00")
		crc := slowCRC(b)
		b[8], b[9], b[10], b[11] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
	default:
		return proto != 6 && proto != 17 && proto != 136 && proto != 132 && (proto != 1 || version == 6) && (proto != 58 || version == 4)
	}
	return true
}

func put(b []byte, at, v int) { b[at], b[at+1] = byte(v/256), byte(v%256) }

func notZero(sum int) int {
	if sum == 0 {
		return 0xffff
	}
	return sum
}

// complement returns the checksum of RFC 1071 over parts, all of which have an even
// number of bytes but the last.
func complement(parts ...[]byte) int {
	sum := 0
	for _, b := range parts {
		for i, c := range b {
			if i%2 == 0 {
				sum += int(c) * 256
			} else {
				sum += int(c)
			}
		}
	}
	for sum > 0xffff {
		sum = sum%0x10000 + sum/0x10000
	}
	return 0xffff - sum
}
