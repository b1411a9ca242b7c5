package checksum

import (
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/internal/ipheader"
)

// The longest packets there are. WithPayload takes a little less.
func TestFinishTakesTheLongestPackets(t *testing.T) {
	for _, n := range networks(t) {
		size := 0xffff
		if n.bytes[0]>>4 == 6 {
			size += ipheader.IPv6Len
		}
		b := append(n.bytes, make([]byte, size-len(n.bytes))...)
		b[n.proto] = ipheader.TCP
		if err := Finish(b); err != nil || !OK(b) {
			t.Errorf("%s: %v, OK %t", n.name, err, OK(b))
		}
		if err := Finish(append(b, 0)); !errors.Is(err, ErrBadHeader) {
			t.Errorf("%s, a byte longer: %v", n.name, err)
		}
	}
}

// What Finish reads of options decides whether it knows the destination, and
// whether the packet is a jumbogram.
func TestFinishReadsOptionsAsFarAsTheyMakeSense(t *testing.T) {
	const (
		v4   = "00000000 00004000 4011 0000 c0000201c0000202"
		v6   = "60000000 0000 0040 20010db8000000000000000000000001 20010db8000000000000000000000002"
		udp  = "12340009 00080000"
		sctp = "12340009 00000000 00000000"
	)
	tests := []struct {
		name, packet string
		refused      bool
	}{
		{"source route behind an option without data", "48" + v4[2:] + "8802 830704c0000204 000000" + udp, true},
		{"source route that points at its last byte", "47" + v4[2:] + "830707c0000204 00" + udp, true},
		{"source route without an address", "46" + v4[2:] + "83030300" + udp, true},
		{"source route behind the end of the options", "47" + v4[2:] + "00830704c0000204" + udp, false},
		{"source route behind an option of length 1", "48" + v4[2:] + "8801 830704c0000204 000000" + udp, false},
		{"option cut short behind its type", "46" + v4[2:] + "01010183" + udp, false},
		{"source route cut short behind its length", "46" + v4[2:] + "01018302" + udp, false},
		{"jumbo option without data at the end", v6 + "1100 0000 0000 c200" + udp, true},
		{"option beyond its header, before the jumbo option", v6 + "1100 c205 00000000" + udp, false},
		{"option cut short behind its type, IPv6", v6 + "1100 0000 000000c2" + udp, false},
		{"extension header of 16 bytes, of which 8 are there", v6 + "3b01 0000 00000000", true},
		// CRC32c covers no address.
		{"source route with SCTP", "47" + "000000 00004000 4084 0000 c0000201c0000202" + "830704c0000204 00" + sctp, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.packet)
			err := Finish(b)
			if refused := errors.Is(err, ErrBadHeader); refused != tt.refused || err != nil && !refused {
				t.Errorf("error %v, want one: %t", err, tt.refused)
			}
			if err == nil && (!OK(b) || !Sets(b)) {
				t.Errorf("OK %t, finishable %t", OK(b), Sets(b))
			}
		})
	}
}

// The reserved bits of a fragment header don't make a fragment of a datagram.
func TestFinishIgnoresReservedBitsOfTheFragmentHeader(t *testing.T) {
	const v6 = "60000000 0010 2c40 20010db8000000000000000000000001 20010db8000000000000000000000002"
	for reserved := range byte(4) {
		b := unhex(t, v6+"11000000d61354ee 1234000900080000")
		b[40+1], b[40+3] = 0xff, reserved<<1
		if err := Finish(b); err != nil || !Sets(b) || b[40+8+6] == 0 || !OK(b) {
			t.Errorf("reserved bits %d: %v: % x", reserved, err, b)
		}
	}
}

// A checksum with a zero in one of its bytes is a checksum.
func TestChecksumOKJudgesChecksumsThatAreHalfZero(t *testing.T) {
	for _, n := range networks(t) {
		for _, proto := range []uint8{ipheader.UDP, ipheader.UDPLite} {
			b := append(n.bytes, 0x12, 0x34, 0, 9, 0, 8, 0, 0)
			b[n.proto] = proto
			seg := b[len(n.bytes):]
			half := 0
			for port := range 0x10000 {
				seg[0], seg[1] = byte(port>>8), byte(port)
				if err := Finish(b); err != nil {
					t.Fatal(err)
				}
				if seg[6] != 0 && seg[7] != 0 {
					continue
				}
				half++
				right := OK(b)
				seg[2] ^= 1
				if wrong := OK(b); !right || wrong {
					t.Fatalf("%s, protocol %d, checksum % x: right %t, wrong %t", n.name, proto, seg[6:8], right, wrong)
				}
				seg[2] ^= 1
			}
			if half < 500 {
				t.Errorf("%s, protocol %d: tried %d of them", n.name, proto, half)
			}
		}
	}
}
