package nfqueue_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/nfqueue"
)

// Decoding a plain packet has a budget of 60 ns.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name    string
		message []byte
	}{{"plain", plainMessage()}, {"full", full()}} {
		b.Run(c.name, func(b *testing.B) {
			m, p := parse(b, c.message), new(nfqueue.Packet)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Decode(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A verdict without a payload has a budget of 80 ns.
func BenchmarkVerdict(b *testing.B) {
	p, buf := decode(b, plainMessage()), make([]byte, 0, 1024)
	for _, k := range verdictKinds {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.v.Append(buf, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerdictLarge rewrites a packet of 1500 bytes.
func BenchmarkVerdictLarge(b *testing.B) {
	payload := udpPacket(string(make([]byte, 1472)))
	p, buf := decode(b, packetMessage(1, tlv(10, payload))), make([]byte, 0, 2048)
	v := nfqueue.Accept().WithPayload(payload)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Append(buf, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeUnverified shows what the check of a packet that nobody verified adds to
// Decode, at 1500 bytes.
func BenchmarkDecodeUnverified(b *testing.B) {
	payload := udpPacket(string(make([]byte, 1472)))
	m, p := parse(b, packetMessage(1, tlv(14, "00000004"), tlv(10, payload))), new(nfqueue.Packet)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decode(m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBatch is all that happens to a packet between the system calls, in a
// batch of 64 that get the same verdict. It has a budget of 100 ns.
func BenchmarkBatch(b *testing.B) {
	q, _ := open(b, nfqueue.Config{})
	batch := q.NewBatch()
	var msgs [][]byte
	for id := range uint32(64) {
		msgs = append(msgs, inputMessage(id+1))
	}
	for _, k := range verdictKinds[:2] {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(msgs) {
				if err := batch.Replay(msgs, func(*nfqueue.Packet) nfqueue.Verdict { return k.v }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// inputMessage is a packet as the kernel has it at the hook input.
func inputMessage(id uint32) []byte {
	return packetMessage(id, tlv(5, "00000002"), tlv(9, "0006 0000 020000000001 0000"), tlv(4, "0000000065f00000 0000000000000007"),
		tlv(14, "00000003"), tlv(10, udpPacket(string(make([]byte, 36)))))
}
