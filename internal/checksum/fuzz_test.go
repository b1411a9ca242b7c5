package checksum

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
)

func FuzzFinish(f *testing.F) {
	for _, p := range slices.Concat(linuxPackets, rarePackets) {
		f.Add(unhex(f, p.packet), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, partialUDP bool) {
		// The bytes behind the packet tell whether something was written there.
		room := append(bytes.Clone(in), 0xaa, 0xaa, 0xaa, 0xaa)
		b := room[:len(in)]
		OK(b)
		can := Sets(b)
		err := FinishWith(b, Options{PartialUDP: partialUDP})
		if !bytes.Equal(room[len(in):], []byte{0xaa, 0xaa, 0xaa, 0xaa}) {
			t.Fatal("written behind the packet")
		}
		if err != nil {
			if !bytes.Equal(b, in) {
				t.Fatalf("changed, and then: %v", err)
			}
			return
		}
		once := bytes.Clone(b)
		if err := FinishWith(b, Options{PartialUDP: partialUDP}); err != nil || !bytes.Equal(b, once) {
			t.Fatalf("finished again: %v\nonce  % x\ntwice % x", err, once, b)
		}
		if !partialUDP && !OK(b) {
			t.Fatalf("not OK: % x", b)
		}
		if !partialUDP && !plainlyOK(b) {
			t.Fatalf("not OK by the book: % x", b)
		}
		if Sets(b) != can {
			t.Fatal("finishing has changed whether it can be")
		}
	})
}

// plainlyOK is a second opinion: it verifies the checksums of a packet, two bytes
// at a time and as RFC 1071, 8200, 3828 and 9260 say. It has none on packets
// whose headers change the addresses that are summed.
func plainlyOK(b []byte) bool {
	var proto byte
	var seg, addresses []byte
	if b[0]>>4 == 4 {
		n := int(b[0]&15) * 4
		if !sumsUp(b[:n]) || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
			return false
		}
		if n > 20 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return true // options may be a route, a fragment has no checksum
		}
		proto, seg, addresses = b[9], b[n:], b[12:20]
	} else {
		if int(binary.BigEndian.Uint16(b[4:])) != len(b)-40 {
			return false
		}
		proto, seg, addresses = b[6], b[40:], b[8:40]
	}
	pseudo := slices.Concat(addresses, []byte{0, 0, byte(len(seg) >> 8), byte(len(seg)), 0, 0, 0, proto})
	switch proto {
	case 6: // TCP
		return sumsUp(pseudo, seg)
	case 58: // ICMPv6
		return b[0]>>4 != 6 || sumsUp(pseudo, seg)
	case 17: // UDP
		return int(binary.BigEndian.Uint16(seg[4:])) == len(seg) && sumsUp(pseudo, seg) && (seg[6] != 0 || seg[7] != 0)
	case 136: // UDP-Lite
		covered := int(binary.BigEndian.Uint16(seg[4:]))
		if covered == 0 {
			covered = len(seg)
		}
		return sumsUp(pseudo, seg[:covered])
	case 1: // ICMP
		return b[0]>>4 != 4 || sumsUp(seg)
	case 132: // SCTP
		zeroed := bytes.Clone(seg)
		clear(zeroed[8:12])
		return binary.LittleEndian.Uint32(seg[8:]) == crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli))
	}
	return true // no checksum, or extension headers
}

// sumsUp reports whether the parts, each of an even number of bytes but the last,
// have a ones' complement sum of all ones.
func sumsUp(parts ...[]byte) bool {
	b, sum := slices.Concat(parts...), 0
	for i, c := range b {
		if i%2 == 0 {
			sum += int(c) << 8
		} else {
			sum += int(c)
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

func TestFinishDoesNotAllocate(t *testing.T) {
	for _, p := range slices.Concat(linuxPackets, rarePackets) {
		b := unhex(t, p.packet)
		n := testing.AllocsPerRun(100, func() {
			if Finish(b) != nil || !OK(b) || !Sets(b) || FinishWith(b, Options{PartialUDP: true}) != nil {
				t.Error("refused")
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

// Finishing 1400 bytes has a budget of 250 ns.
func BenchmarkFinish(b *testing.B) {
	benchmarks := []struct {
		name string
		from int // of linuxPackets
		size int
	}{
		{"UDP 64 B", 0, 64},
		{"UDP 1400 B", 0, 1400},
		{"UDP 64 KiB", 0, 0xffff},
		{"UDP IPv6 1400 B", 2, 1400},
		{"TCP 1400 B", 10, 1400},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			packet := make([]byte, bb.size)
			copy(packet, unhex(b, linuxPackets[bb.from].packet))
			b.SetBytes(int64(len(packet)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Finish(packet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChecksumOK(b *testing.B) {
	packet := make([]byte, 1400)
	copy(packet, unhex(b, linuxPackets[0].packet))
	if err := Finish(packet); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if !OK(packet) {
			b.Fatal("not OK")
		}
	}
}

func BenchmarkSum(b *testing.B) {
	in := make([]byte, 1400)
	b.SetBytes(int64(len(in)))
	var acc uint64
	for b.Loop() {
		acc = sum(acc, in)
	}
}
