package nfqueue

import (
	"bytes"
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
		checksumOK(b)
		can := finishable(b)
		err := finish(b, partialUDP)
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
		if err := finish(b, partialUDP); err != nil || !bytes.Equal(b, once) {
			t.Fatalf("finished again: %v\nonce  % x\ntwice % x", err, once, b)
		}
		if !partialUDP && !checksumOK(b) {
			t.Fatalf("not OK: % x", b)
		}
		if finishable(b) != can {
			t.Fatal("finishing has changed whether it can be")
		}
	})
}

func TestFinishDoesNotAllocate(t *testing.T) {
	for _, p := range slices.Concat(linuxPackets, rarePackets) {
		b := unhex(t, p.packet)
		n := testing.AllocsPerRun(100, func() {
			if Finish(b) != nil || !checksumOK(b) || !finishable(b) || finish(b, true) != nil {
				t.Error("refused")
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

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
		if !checksumOK(packet) {
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
