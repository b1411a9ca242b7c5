package nflog

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// decodeFast reads attributes of the usual length in the order in which the
// kernel writes them (__build_packet_message of net/netfilter/nfnetlink_log.c),
// up to the first that differs. It returns the rest for walk, which reads any
// attributes.
//
// The packets of a rule have the same attributes, so a processor predicts all of
// these branches. Lengths are constants here, so it need not wait for one to find
// the next attribute. The last attribute of b is left to walk: so each slice
// below is known not to be empty.
func (p *Packet) decodeFast(b []byte) (has found, rest []byte) {
	if len(b) > 8 && is(b, fastPacketHeader) {
		p.Proto, p.Hook = nlattr.Uint16At(b, 0), nfnl.Hook(b[6])
		has |= foundHeader
		b = b[8:]
	}
	if n := length(b, attrPrefix); n > 0 {
		p.Prefix = text(nlattr.ValueAt(b, 0, n))
		b = b[nlattr.Align(n):]
	}
	if len(b) > 8 && is(b, fastInDev) {
		p.InDev = int(nlattr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastPhysInDev) {
		p.PhysInDev = int(nlattr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastOutDev) {
		p.OutDev = int(nlattr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastPhysOutDev) {
		p.PhysOutDev = int(nlattr.Uint32At(b, 0))
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastMark) {
		p.Mark = nlattr.Uint32At(b, 0)
		b = b[8:]
	}
	if len(b) > 16 && is(b, fastHardwareAddr) {
		p.HardwareAddr = nlattr.HardwareAddr(nlattr.ValueAt(b, 0, 16))
		b = b[16:]
	}
	if len(b) > 8 && is(b, fastHardwareType) {
		p.HardwareType = nlattr.Uint16At(b, 0)
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastHardwareLen) {
		p.HardwareLen = nlattr.Uint16At(b, 0)
		b = b[8:]
	}
	if n := length(b, attrHardwareHeader); n > 0 {
		p.HardwareHeader = nlattr.ValueAt(b, 0, n)
		b = b[nlattr.Align(n):]
	}
	if len(b) > 20 && is(b, fastTimestamp) {
		p.Time = nlattr.Time(nlattr.ValueAt(b, 0, 20))
		b = b[20:]
	}
	if len(b) > 8 && is(b, fastUID) {
		p.UID, p.HasOwner = nlattr.Uint32At(b, 0), true
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastGID) {
		p.GID = nlattr.Uint32At(b, 0)
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastSeq) {
		p.Seq = nlattr.Uint32At(b, 0)
		has |= foundSeq
		b = b[8:]
	}
	if len(b) > 8 && is(b, fastGlobalSeq) {
		p.GlobalSeq = nlattr.Uint32At(b, 0)
		b = b[8:]
	}
	if n := length(b, attrPayload); n > 0 {
		p.Payload = nlattr.ValueAt(b, 0, n)
		b = b[nlattr.Align(n):]
	}
	return has, b
}

// The headers of attributes of the usual length, of type and length at once.
var (
	fastPacketHeader = header(attrPacketHeader, 8)
	fastInDev        = header(attrInDev, 8)
	fastPhysInDev    = header(attrPhysInDev, 8)
	fastOutDev       = header(attrOutDev, 8)
	fastPhysOutDev   = header(attrPhysOutDev, 8)
	fastMark         = header(attrMark, 8)
	fastHardwareAddr = header(attrHardwareAddr, 16)
	fastHardwareType = header(attrHardwareType, 6)
	fastHardwareLen  = header(attrHardwareLen, 6)
	fastTimestamp    = header(attrTimestamp, 20)
	fastUID          = header(attrUID, 8)
	fastGID          = header(attrGID, 8)
	fastSeq          = header(attrSeq, 8)
	fastGlobalSeq    = header(attrGlobalSeq, 8)
)

// header returns the first four bytes of an attribute in host byte order.
func header(typ, n uint16) uint32 {
	var b [nlattr.HeaderLen]byte
	binary.NativeEndian.PutUint16(b[:], n)
	binary.NativeEndian.PutUint16(b[2:], typ)
	return binary.NativeEndian.Uint32(b[:])
}

// is reports whether b begins with that header.
func is(b []byte, header uint32) bool { return binary.NativeEndian.Uint32(b) == header }

// length returns the length of the attribute that b begins with, 0 if it is of
// another type or not whole.
func length(b []byte, typ uint16) int {
	if len(b) < nlattr.HeaderLen || binary.NativeEndian.Uint16(b[2:]) != typ {
		return 0
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < nlattr.HeaderLen || nlattr.Align(n) > len(b) {
		return 0
	}
	return n
}
