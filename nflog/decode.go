package nflog

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// The header of an attribute, struct nlattr of linux/netlink.h: 16 bits each for
// its length and its type.
const (
	attrHeaderLen = 4      // NLA_HDRLEN
	attrTypeMask  = 0x3fff // NLA_TYPE_MASK
)

// packetHeaderLen is the length of struct nfulnl_msg_packet_hdr without its
// padding.
const packetHeaderLen = 3

// leastLen returns how long an attribute must at least be, in bytes.
func leastLen(typ uint16) int {
	if int(typ) < len(leastValue) {
		return attrHeaderLen + int(leastValue[typ])
	}
	return attrHeaderLen
}

// leastValue has the length that the value of an attribute must have, in bytes.
var leastValue = [...]uint8{
	attrPacketHeader:  packetHeaderLen,
	attrMark:          4,
	attrTimestamp:     16,
	attrInDev:         4,
	attrOutDev:        4,
	attrPhysInDev:     4,
	attrPhysOutDev:    4,
	attrHardwareAddr:  4,
	attrUID:           4,
	attrSeq:           4,
	attrGlobalSeq:     4,
	attrGID:           4,
	attrHardwareType:  2,
	attrHardwareLen:   2,
	attrConntrackInfo: 4,
}

// found is a set of attributes that every packet of an open group has.
type found uint8

const (
	foundHeader found = 1 << iota
	foundSeq
)

// Decode sets p to the packet in m, whose bytes it aliases. Time is zero if the
// kernel sent none. The error wraps attr.ErrMalformed or nfnl.ErrMalformed.
func (p *Packet) Decode(m nfnl.Message) error {
	p.clear(m.Resource, m.Family)
	_, err := p.decode(m.Attrs)
	return err
}

// clear makes p a packet of which nothing else is known.
func (p *Packet) clear(group uint16, family nfnl.Family) {
	*p = Packet{} // a literal with values would be made elsewhere and copied
	p.Group, p.Family, p.ConntrackInfo = group, family, attr.InfoUntracked
}

// decode is Decode of a cleared packet's attributes; it also says what could be
// read, whatever the error.
func (p *Packet) decode(b []byte) (has found, err error) {
	has, rest := p.usual(b)
	if len(rest) > 0 {
		has, err = p.walk(b, len(b)-len(rest), has)
	}
	if err == nil && has&foundHeader == 0 {
		err = errNoHeader
	}
	return has, err
}

// walk reads the attributes from b[at] on, in any order and of any length. has
// is what was found before them.
//
// It does without an attr.Decoder, which would take twice as long: an index into
// the list stays in a register. Attributes of 8 bytes, the 32-bit values, have a
// branch of their own, for a processor that guesses it right need not wait for
// one length to find the next.
//
//	 0           2      3         4
//	+-----------+------+---------+
//	| EtherType | hook | padding |    struct nfulnl_msg_packet_hdr
//	+-----------+------+---------+
func (p *Packet) walk(b []byte, at int, has found) (found, error) {
	for next := at; at <= len(b)-attrHeaderLen; at = next {
		n := int(binary.NativeEndian.Uint16(b[at:]))
		typ := binary.NativeEndian.Uint16(b[at+2:]) & attrTypeMask
		if n == 8 && at <= len(b)-8 {
			next = at + 8
		} else if n >= attrHeaderLen && n <= len(b)-at && n >= leastLen(typ) {
			next = at + align(n)
		} else {
			return has, wrong(b)
		}
		switch typ {
		case attrPacketHeader:
			p.Proto, p.Hook = be16(b, at), nfnl.Hook(b[at+6])
			has |= foundHeader
		case attrPrefix:
			p.Prefix = text(value(b, at, n))
		case attrInDev:
			p.InDev = int(be32(b, at))
		case attrPhysInDev:
			p.PhysInDev = int(be32(b, at))
		case attrOutDev:
			p.OutDev = int(be32(b, at))
		case attrPhysOutDev:
			p.PhysOutDev = int(be32(b, at))
		case attrMark:
			p.Mark = be32(b, at)
		case attrHardwareAddr:
			p.HardwareAddr = attr.HardwareAddr(value(b, at, n))
		case attrHardwareType:
			p.HardwareType = be16(b, at)
		case attrHardwareLen:
			p.HardwareLen = be16(b, at)
		case attrHardwareHeader:
			p.HardwareHeader = value(b, at, n)
		case attrTimestamp:
			if n < leastLen(attrTimestamp) {
				return has, wrong(b)
			}
			p.Time = attr.Time(value(b, at, n))
		case attrUID:
			p.UID, p.HasOwner = be32(b, at), true
		case attrGID:
			p.GID = be32(b, at)
		case attrSeq:
			p.Seq = be32(b, at)
			has |= foundSeq
		case attrGlobalSeq:
			p.GlobalSeq = be32(b, at)
		case attrConntrack:
			if n > attrHeaderLen { // else there is nothing to know
				p.conntrack = value(b, at, n)
			}
		case attrConntrackInfo:
			p.ConntrackInfo = attr.ConntrackInfo(be32(b, at))
		case attrVLAN:
			d := attr.NewDecoder(b[at:])
			d.Next()
			p.VLAN = d.VLAN()
			if err := d.Err(); err != nil {
				return has, err
			}
		case attrLinkHeader:
			p.LinkHeader = value(b, at, n)
		case attrPayload:
			p.Payload = value(b, at, n)
		}
	}
	if at < len(b) {
		return has, wrong(b)
	}
	return has, nil
}

// text returns the string v without the NUL that ends it. The kernel sends no
// other NUL: nfulnl_log_packet counts the bytes up to it.
func text(v []byte) []byte {
	if n := len(v) - 1; n >= 0 && v[n] == 0 {
		return v[:n:n]
	}
	return v
}

// value returns the value of the attribute of n bytes at b[at].
func value(b []byte, at, n int) []byte { return b[at+attrHeaderLen : at+n : at+n] }

// be16 and be32 return the value of the attribute at b[at] as an integer.

func be16(b []byte, at int) uint16 {
	return binary.BigEndian.Uint16(b[at+attrHeaderLen : at+attrHeaderLen+2])
}
func be32(b []byte, at int) uint32 {
	return binary.BigEndian.Uint32(b[at+attrHeaderLen : at+attrHeaderLen+4])
}

// wrong returns what is wrong with the attributes in b, nil if they only end in
// the padding of something else.
func wrong(b []byte) error {
	d := attr.NewDecoder(b)
	for d.Next() {
		d.Fixed(leastLen(d.Type()) - attrHeaderLen)
	}
	return d.Err()
}
