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
// find the next attribute. Of an attribute that is b's last, walk takes care: that
// something follows spares each slice below the case that nothing does.
func (p *Packet) usual(b []byte) (has found, rest []byte) {
	if len(b) > 8 && is(b, usualPacketHeader) {
		p.Proto, p.Hook = attr.Uint16At(b, 0), nfnl.Hook(b[6])
		has |= foundHeader
		b = b[8:]
	}
	if n := length(b, attrPrefix); n > 0 {
		p.Prefix = text(attr.ValueAt(b, 0, n))
		b = b[align(n):]
	}
	if len(b) > 8 && is(b, usualInDev) {
		p.InDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualPhysInDev) {
		p.PhysInDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualOutDev) {
		p.OutDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualPhysOutDev) {
		p.PhysOutDev = int(attr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualMark) {
		p.Mark = attr.Uint32At(b, 0)
		b = b[8:]
	}
	if len(b) > 16 && is(b, usualHardwareAddr) {
		p.HardwareAddr = attr.HardwareAddr(attr.ValueAt(b, 0, 16))
		b = b[16:]
	}
	if len(b) > 8 && is(b, usualHardwareType) {
		p.HardwareType = attr.Uint16At(b, 0)
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualHardwareLen) {
		p.HardwareLen = attr.Uint16At(b, 0)
		b = b[8:]
	}
	if n := length(b, attrHardwareHeader); n > 0 {
		p.HardwareHeader = attr.ValueAt(b, 0, n)
		b = b[align(n):]
	}
	if len(b) > 20 && is(b, usualTimestamp) {
		p.Time = attr.Time(attr.ValueAt(b, 0, 20))
		b = b[20:]
	}
	if len(b) > 8 && is(b, usualUID) {
		p.UID, p.HasOwner = attr.Uint32At(b, 0), true
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualGID) {
		p.GID = attr.Uint32At(b, 0)
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualSeq) {
		p.Seq = attr.Uint32At(b, 0)
		has |= foundSeq
		b = b[8:]
	}
	if len(b) > 8 && is(b, usualGlobalSeq) {
		p.GlobalSeq = attr.Uint32At(b, 0)
		b = b[8:]
	}
	if n := length(b, attrPayload); n > 0 {
		p.Payload = attr.ValueAt(b, 0, n)
		b = b[align(n):]
	}
	return has, b
}

// The headers of attributes of the usual length, of type and length at once.
var (
	usualPacketHeader = header(attrPacketHeader, 8)
	usualInDev        = header(attrInDev, 8)
	usualPhysInDev    = header(attrPhysInDev, 8)
	usualOutDev       = header(attrOutDev, 8)
	usualPhysOutDev   = header(attrPhysOutDev, 8)
	usualMark         = header(attrMark, 8)
	usualHardwareAddr = header(attrHardwareAddr, 16)
	usualHardwareType = header(attrHardwareType, 6)
	usualHardwareLen  = header(attrHardwareLen, 6)
	usualTimestamp    = header(attrTimestamp, 20)
	usualUID          = header(attrUID, 8)
	usualGID          = header(attrGID, 8)
	usualSeq          = header(attrSeq, 8)
	usualGlobalSeq    = header(attrGlobalSeq, 8)
)

// header returns the first four bytes of an attribute in host byte order.
func header(typ, n uint16) uint32 {
	var b [attr.HeaderLen]byte
	binary.NativeEndian.PutUint16(b[:], n)
	binary.NativeEndian.PutUint16(b[2:], typ)
	return binary.NativeEndian.Uint32(b[:])
}

// is reports whether b begins with that header.
func is(b []byte, header uint32) bool { return binary.NativeEndian.Uint32(b) == header }

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
