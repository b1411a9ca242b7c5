package nflog_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// BenchmarkDecode decodes records as rules at the hooks output and input make
// them, and one with everything a record can have. Those of the hooks have a
// budget of 55 ns.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name string
		p    nflog.Packet
	}{
		{"plain", plainPacket()},
		{"input", inputPacket()},
		{"full", fullPacket()},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, _, err := nfnl.Next(nflogtest.AppendPacket(nil, &c.p))
			if err != nil {
				b.Fatal(err)
			}
			p := new(nflog.Packet)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Decode(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReceive has a datagram of 64 plain records for each system call; an
// operation is a record. It includes the fake kernel's work, and so only shows
// what gets worse.
func BenchmarkReceive(b *testing.B) {
	r, k := nflogtest.Open(b, nflog.Config{Groups: []uint16{5}})
	packets := make([]nflog.Packet, 64)
	for i := range packets {
		packets[i] = plainPacket()
	}
	batch := r.NewBatch()
	for n := 0; n < b.N; n += len(packets) {
		b.StopTimer()
		k.Log(packets...)
		b.StartTimer()
		if err := r.Receive(batch); err != nil {
			b.Fatal(err)
		}
	}
}
