package engine

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// Numbers of the wire in network byte order; plain ones are in the host's.
type (
	be16 uint16
	be32 uint32
)

// wire lays out bytes as the kernel does on this machine.
func wire(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case uint8:
			b = append(b, p)
		case uint16:
			b = binary.NativeEndian.AppendUint16(b, p)
		case uint32:
			b = binary.NativeEndian.AppendUint32(b, p)
		case int32:
			b = binary.NativeEndian.AppendUint32(b, uint32(p))
		case be16:
			b = binary.BigEndian.AppendUint16(b, uint16(p))
		case be32:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		default:
			panic("wire: size unknown")
		}
	}
	return b
}

// nlmsg is a netlink header.
func nlmsg(length uint32, typ, flags uint16, seq, port uint32) []byte {
	return wire(length, typ, flags, seq, port)
}

// nfgen is an nfnetlink header.
func nfgen(family uint8, resource uint16) []byte {
	return wire(family, uint8(0), be16(resource))
}

const (
	queuePacket  Type = SubsystemQueue << 8
	queueVerdict Type = SubsystemQueue<<8 | 1
	queueConfig  Type = SubsystemQueue<<8 | 2
	logPacket    Type = SubsystemLog << 8
)

// payload is a packet of 31 bytes, a length that wants padding.
var payload = append([]byte{0x45, 0, 0, 0x1f}, "abcdefghijklmnopqrstuvwxyz."...)

// What Linux 6.18 sent and took, laid out for this machine.
var (
	goldenBindAttrs = wire(uint16(8), uint16(1), uint8(1), uint8(0), be16(2))
	goldenBind      = wire(nlmsg(28, 0x0302, 5, 1, 0), nfgen(0, 5), goldenBindAttrs)
	goldenAck       = wire(nlmsg(36, 2, 0x100, 1, 0x2f2b), int32(0), goldenBind[:16])

	goldenShort = wire(nlmsg(84, 2, 0x300, 3, 0x2f2b), int32(-34), nlmsg(28, 0x0302, 5, 3, 0),
		uint16(39), uint16(1), "Attribute failed policy validation\x00", uint8(0),
		uint16(8), uint16(2), uint32(20))

	goldenVerdict = wire(nlmsg(32, 0x0301, 1, 4, 0), nfgen(0, 5), uint16(12), uint16(2), be32(1), be32(99))
	goldenGone    = wire(nlmsg(36, 2, 0x100, 4, 0x2f2b), int32(-2), goldenVerdict[:16])
	goldenUncap   = wire(nlmsg(52, 2, 0, 4, 0x2f2b), int32(-2), goldenVerdict)

	goldenPacketAttrs = wire(
		uint16(11), uint16(1), be32(1), be16(0x0800), uint8(0), uint8(0),
		uint16(8), uint16(5), be32(1),
		uint16(8), uint16(3), be32(0xbeef),
		uint16(16), uint16(9), be16(6), be16(0), make([]byte, 8),
		uint16(8), uint16(14), be32(1),
		uint16(35), uint16(10), payload) // the last one is not padded
	goldenPacket = wire(nlmsg(107, 0x0300, 0, 0, 0), nfgen(2, 5), goldenPacketAttrs)

	goldenLog = wire(goldenLogMessage(0), goldenLogMessage(1), nlmsg(20, 3, 0, 0, 0), nfgen(0, 3))
)

func goldenLogAttrs(n uint32) []byte {
	return wire(
		uint16(8), uint16(1), be16(0x0800), uint8(3), uint8(0),
		uint16(7), uint16(10), "ab\x00\x00",
		uint16(8), uint16(5), be32(1),
		uint16(8), uint16(2), be32(0xbeef),
		uint16(8), uint16(11), be32(1000),
		uint16(8), uint16(14), be32(1000),
		uint16(8), uint16(12), be32(n),
		uint16(8), uint16(13), be32(n),
		uint16(35), uint16(9), payload, uint8(0))
}

func goldenLogMessage(n uint32) []byte {
	return wire(nlmsg(120, 0x0400, 0, 0, 0), nfgen(2, 3), goldenLogAttrs(n))
}

// TestGoldenBytesAreTheCapturedOnes ties wire to what was captured on
// little-endian machines. A tilde marks what others have in their own order.
func TestGoldenBytesAreTheCapturedOnes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		built    []byte
		captured string // a beginning suffices
	}{
		{"bind", goldenBind, "~1c000000 ~0203 ~0500 ~01000000 ~00000000 00 00 0005 ~0800 ~0100 01 00 0002"},
		{"acknowledgement", goldenAck, "~24000000 ~0200 ~0001 ~01000000 ~2b2f0000 ~00000000 ~1c000000 ~0203 ~0500 ~01000000 ~00000000"},
		{"refusal with text", goldenShort, "~54000000 ~0200 ~0003 ~03000000 ~2b2f0000 ~deffffff"},
		{"refused verdict", goldenGone, "~24000000 ~0200 ~0001 ~04000000 ~2b2f0000 ~feffffff ~20000000 ~0103 ~0100 ~04000000 ~00000000"},
		{"packet", goldenPacket, "~6b000000 ~0003 ~0000 ~00000000 ~00000000 02 00 0005 ~0b00 ~0100 00000001 0800 00 00" +
			" ~0800 ~0500 00000001 ~0800 ~0300 0000beef ~1000 ~0900 0006 0000 000000000000 0000 ~0800 ~0e00 00000001 ~2300 ~0a00 4500001f"},
		{"log", goldenLog, "~78000000 ~0004 ~0000 ~00000000 ~00000000 02 00 0003 ~0800 ~0100 0800 03 00 ~0700 ~0a00 616200 00"},
	} {
		var want []byte
		for field := range strings.FieldsSeq(tt.captured) {
			digits, native := strings.CutPrefix(field, "~")
			b, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			if native && binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
				slices.Reverse(b)
			}
			want = append(want, b...)
		}
		if got := tt.built[:len(want)]; string(got) != string(want) {
			t.Errorf("%s:\n got %x\nwant %x", tt.name, got, want)
		}
		if n := binary.NativeEndian.Uint32(tt.built); int(n) != len(tt.built) && tt.name != "log" {
			t.Errorf("%s: says it has %d bytes, has %d", tt.name, n, len(tt.built))
		}
	}
}
