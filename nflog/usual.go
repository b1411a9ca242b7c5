package nflog

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// usual reads attributes of the usual length in the order in which the kernel
// writes them (__build_packet_message of net/netfilter/nfnetlink_log.c), as far
// as that goes. It returns what it has not read, for walk, which reads any.
//
// What one packet of a rule has, the next has too, so a processor guesses all of
// these branches. It need not wait for a length, which is a constant here, to
// find the next attribute.
func (p *Packet) usual(b []byte) (has found, rest []byte) {
	if len(b) >= 8 && is(b, attrPacketHeader, 8) {
		p.Proto, p.Hook = attr.Uint16At(b, 0), nfnl.Hook(b[6])
		has |= foundHeader
		b = b[8:]
	}
	if n := length(b, attrPrefix); n > 0 {
		p.Prefix = text(attr.ValueAt(b, 0, n))
		b = b[align(n):]
	}
	if len(b) >= 8 && is(b, attrInDev, 8) {
		p.InDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrPhysInDev, 8) {
		p.PhysInDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrOutDev, 8) {
		p.OutDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrPhysOutDev, 8) {
		p.PhysOutDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrMark, 8) {
		p.Mark = attr.Uint32At(b, 0)
		b = b[8:]
	}
	if len(b) >= 16 && is(b, attrHardwareAddr, 16) {
		p.HardwareAddr = attr.HardwareAddr(attr.ValueAt(b, 0, 16))
		b = b[16:]
	}
	if len(b) >= 8 && is(b, attrHardwareType, 6) {
		p.HardwareType = attr.Uint16At(b, 0)
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrHardwareLen, 6) {
		p.HardwareLen = attr.Uint16At(b, 0)
		b = b[8:]
	}
	if n := length(b, attrHardwareHeader); n > 0 {
		p.HardwareHeader = attr.ValueAt(b, 0, n)
		b = b[align(n):]
	}
	if len(b) >= 20 && is(b, attrTimestamp, 20) {
		p.Time = attr.Time(attr.ValueAt(b, 0, 20))
		b = b[20:]
	}
	if len(b) >= 8 && is(b, attrUID, 8) {
		p.UID, p.HasOwner = attr.Uint32At(b, 0), true
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrGID, 8) {
		p.GID = attr.Uint32At(b, 0)
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrSeq, 8) {
		p.Seq = attr.Uint32At(b, 0)
		has |= foundSeq
		b = b[8:]
	}
	if len(b) >= 8 && is(b, attrGlobalSeq, 8) {
		p.GlobalSeq = attr.Uint32At(b, 0)
		b = b[8:]
	}
	if n := length(b, attrPayload); n > 0 {
		p.Payload = attr.ValueAt(b, 0, n)
		b = b[align(n):]
	}
	return has, b
}

// is reports whether b begins with an attribute of that type and length.
func is(b []byte, typ, n uint16) bool {
	return binary.NativeEndian.Uint16(b[2:]) == typ && binary.NativeEndian.Uint16(b) == n
}

// length returns the length of the attribute that b begins with, 0 if it is of
// another type or not whole.
func length(b []byte, typ uint16) int {
	if len(b) < attr.HeaderLen || binary.NativeEndian.Uint16(b[2:]) != typ {
		return 0
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < attr.HeaderLen || align(n) > len(b) {
		return 0
	}
	return n
}

// align rounds n up to where the next attribute may start.
func align(n int) int { return (n + 3) &^ 3 }
