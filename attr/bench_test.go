package attr_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/attr"
)

// A queued packet as its decoder sees it, for BenchmarkDecoder.
type packet struct {
	id, indev, outdev, mark, capLen, skbInfo uint32
	hwaddr, payload                          []byte
}

func (p *packet) decode(b []byte) error {
	d := attr.NewDecoder(b)
	for d.Next() {
		switch d.Type() {
		case 1:
			p.id = d.Uint32()
		case 3:
			p.mark = d.Uint32()
		case 5:
			p.indev = d.Uint32()
		case 6:
			p.outdev = d.Uint32()
		case 9:
			p.hwaddr = d.Bytes()
		case 10:
			p.payload = d.Bytes()
		case 13:
			p.capLen = d.Uint32()
		case 14:
			p.skbInfo = d.Uint32()
		}
	}
	return d.Err()
}

// BenchmarkDecoder walks the eight attributes of an ordinary queued packet. It has
// a budget of 100 ns.
func BenchmarkDecoder(b *testing.B) {
	var in []byte
	in = attr.AppendBytes(in, 1, []byte{0, 0, 0, 1, 8, 0, 2})
	in = attr.AppendUint32(in, 5, 2)
	in = attr.AppendUint32(in, 6, 3)
	in = attr.AppendUint32(in, 3, 0x2a)
	in = attr.AppendBytes(in, 9, []byte{0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0})
	in = attr.AppendUint32(in, 13, 1500)
	in = attr.AppendUint32(in, 14, 1)
	in = attr.AppendBytes(in, 10, make([]byte, 64))
	p := new(packet)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.decode(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecoderVLAN(b *testing.B) {
	in := attr.AppendVLAN(nil, 19, attr.VLAN{Protocol: 0x8100, TCI: 42})
	b.ReportAllocs()
	for b.Loop() {
		d := attr.NewDecoder(in)
		for d.Next() {
			if d.VLAN().ID() != 42 {
				b.Fatal("wrong tag")
			}
		}
	}
}

// A connection with both tuples has a budget of 1 µs.
func BenchmarkConntrack(b *testing.B) {
	in, c := captured(b, "tcp-dnat"), new(attr.Conntrack)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendVerdict appends what an ordinary verdict has: its header and
// a mark.
func BenchmarkAppendVerdict(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		out := attr.AppendUint64(buf, 2, 1<<32|7)
		out = attr.AppendUint32(out, 3, 0x2a)
		if len(out) != 20 {
			b.Fatal("wrong length")
		}
	}
}

func BenchmarkAppendBytes(b *testing.B) {
	buf, payload := make([]byte, 0, 2048), make([]byte, 1401)
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		attr.AppendBytes(buf, 10, payload)
	}
}

func BenchmarkAppendVLAN(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		attr.AppendVLAN(buf, 19, attr.VLAN{Protocol: 0x8100, TCI: 42})
	}
}
