package checksum

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nfpacket/nfpacket/internal/ipheader"
)

// slowSum is RFC 1071 as it is written: 16-bit words in network byte order,
// one at a time.
func slowSum(b []byte) uint16 {
	var acc uint32
	for i, c := range b {
		if i%2 == 0 {
			acc += uint32(c) << 8
		} else {
			acc += uint32(c)
		}
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// slowCRC is CRC32c bit by bit.
func slowCRC(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78*(crc&1)
		}
	}
	return ^crc
}

func TestSumMatchesRFC1071(t *testing.T) {
	random := make([]byte, 300)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for _, in := range [][]byte{random, make([]byte, 300), bytes.Repeat([]byte{0xff}, 300)} {
		for start := range 9 {
			for end := start; end <= len(in); end++ {
				b := in[start:end]
				var got [2]byte
				binary.NativeEndian.PutUint16(got[:], fold(sum(0, b)))
				if want := slowSum(b); binary.BigEndian.Uint16(got[:]) != want {
					t.Fatalf("% x: got % x, want %#04x", b, got, want)
				}
			}
		}
	}
	// Carries out of the highest bit, again and again.
	if got := fold(sum(1<<64-1, bytes.Repeat([]byte{0xff}, 32))); got != allOnes {
		t.Errorf("all ones on all ones: %#04x", got)
	}
}

// network is an IP header for the tests, with what stands before the transport
// header and the pseudo-header that goes with it.
type network struct {
	name   string
	bytes  []byte
	proto  int // offset of the protocol number
	pseudo func(n int, proto uint8) []byte
}

func networks(t testing.TB) []network {
	const (
		src4, dst4 = "c0000201", "c0000202"
		src6, dst6 = "20010db8000000000000000000000001", "20010db8000000000000000000000002"
	)
	v4 := func(n int, proto uint8) []byte {
		return unhex(t, fmt.Sprintf("%s %s 00 %02x %04x", src4, dst4, proto, n))
	}
	v6 := func(n int, proto uint8) []byte {
		return unhex(t, fmt.Sprintf("%s %s %08x 000000 %02x", src6, dst6, n, proto))
	}
	return []network{
		{"IPv4", unhex(t, "45000000000040004000ffff"+src4+dst4), 9, v4},
		{"IPv4 with options", unhex(t, "47000000000040004000ffff"+src4+dst4+"0107070400000000"), 9, v4},
		{"IPv6", unhex(t, "6000000000000040"+src6+dst6), 6, v6},
		{"IPv6 with options", unhex(t, "6000000000000040"+src6+dst6+"0000050200000100"), 40, v6},
	}
}

func TestFinishMatchesRFC1071(t *testing.T) {
	for _, n := range networks(t) {
		for _, proto := range []uint8{ipheader.ICMP, ipheader.TCP, ipheader.UDP, ipheader.ICMPv6, ipheader.UDPLite, ipheader.SCTP} {
			for size := range 100 {
				b := bytes.Clone(n.bytes)
				b[n.proto] = proto
				for range size {
					b = append(b, byte(rand.Uint32()))
				}
				h, err := parseHeaders(b)
				if err != nil {
					t.Fatal(err)
				}
				p := h.transport()
				if p == nil || size < p.header {
					continue
				}
				if p == &udpLite {
					copy(b[h.offset+4:], []byte{0, byte(8 + rand.N(size-7))})
				}
				if err := Finish(b); err != nil {
					t.Fatal(err)
				}
				checkSlowly(t, n, proto, b)
			}
		}
	}
}

// checkSlowly checks the checksums of a finished packet.
func checkSlowly(t *testing.T, n network, proto uint8, b []byte) {
	t.Helper()
	seg := b[len(n.bytes):]
	sound := true
	switch proto {
	case ipheader.SCTP:
		zeroed := bytes.Clone(seg)
		copy(zeroed[8:], make([]byte, 4))
		sound = binary.LittleEndian.Uint32(seg[8:]) == slowCRC(zeroed)
	case ipheader.ICMP:
		sound = slowSum(seg) == 0xffff
	case ipheader.UDPLite:
		covered := seg[:binary.BigEndian.Uint16(seg[4:])]
		sound = slowSum(append(n.pseudo(len(seg), proto), covered...)) == 0xffff
	default:
		sound = slowSum(append(n.pseudo(len(seg), proto), seg...)) == 0xffff
	}
	if b[0]>>4 == 4 {
		sound = sound && slowSum(b[:len(n.bytes)]) == 0xffff && int(binary.BigEndian.Uint16(b[2:])) == len(b)
	} else {
		sound = sound && int(binary.BigEndian.Uint16(b[4:])) == len(b)-40
	}
	if !sound || !OK(b) {
		t.Errorf("%s, protocol %d: sound %t, OK %t: % x", n.name, proto, sound, OK(b), b)
	}
}

// Zero in the field would mean that there is no checksum.
func TestFinishTurnsAUDPChecksumOfZeroIntoOnes(t *testing.T) {
	for _, n := range networks(t) {
		for _, proto := range []uint8{ipheader.UDP, ipheader.UDPLite} {
			b := append(bytes.Clone(n.bytes), 0x12, 0x34, 0, 9, 0, 0, 0, 0, 0, 0)
			b[n.proto] = proto
			seg := b[len(n.bytes):]
			if err := Finish(b); err != nil {
				t.Fatal(err)
			}
			copy(seg[8:], seg[6:8]) // the checksum as payload: the rest of the sum is now all ones
			if err := Finish(b); err != nil {
				t.Fatal(err)
			}
			if seg[6] != 0xff || seg[7] != 0xff || !OK(b) {
				t.Errorf("%s, protocol %d: checksum % x, OK %t", n.name, proto, seg[6:8], OK(b))
			}
		}
	}
}

// A packet for UDP GSO has the sum of its pseudo-header, from which the kernel
// makes the checksum of each part.
func TestPartialUDPChecksumIsThePseudoHeadersSum(t *testing.T) {
	for _, n := range networks(t) {
		b := append(bytes.Clone(n.bytes), 0x12, 0x34, 0, 9, 0, 0, 0, 0, 1, 2, 3)
		b[n.proto] = ipheader.UDP
		if err := FinishWith(b, Options{PartialUDP: true}); err != nil {
			t.Fatal(err)
		}
		seg := b[len(n.bytes):]
		if got, want := binary.BigEndian.Uint16(seg[6:]), slowSum(n.pseudo(11, ipheader.UDP)); got != want {
			t.Errorf("%s: got %#04x, want %#04x", n.name, got, want)
		}
		if seg[5] != 11 {
			t.Errorf("%s: UDP length %d", n.name, seg[5])
		}
		partial := slowSum(seg)
		if err := Finish(b); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint16(seg[6:]); got != ^partial {
			t.Errorf("%s: the kernel would make %#04x of it, not %#04x", n.name, ^partial, got)
		}
	}
}
