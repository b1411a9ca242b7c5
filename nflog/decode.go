package nflog

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/hooks"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// packetHeaderLen is the length of struct nfulnl_msg_packet_hdr without its
// padding.
const packetHeaderLen = 3

// lengths is of the attributes that have a length.
var lengths = nlattr.Lengths{
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

// Decode sets p to the packet in m, whose bytes it aliases. Time is zero if the kernel
// sent none. If it returns an error, the error wraps attr.ErrMalformed or
// nfnl.ErrMalformed.
func (p *Packet) Decode(m nfnl.Message) error {
	p.clear(m.Resource, m.Family)
	_, err := p.decode(m.Attrs)
	return err
}

// clear makes p a packet of which nothing else is known.
func (p *Packet) clear(group uint16, family nfnl.Family) {
	from := p.from
	*p = Packet{} // a literal with values would be made elsewhere and copied
	p.from, p.Group, p.Family, p.ConntrackInfo = from, group, family, attr.InfoUntracked
}

// decode is Decode of a cleared packet's attributes; it also returns what could be
// read, whatever the error.
func (p *Packet) decode(b []byte) (has found, err error) {
	has, rest := p.decodeFast(b)
	if len(rest) > 0 {
		has, err = p.walk(b, len(b)-len(rest), has)
	}
	p.Hook = hooks.Of(p.Family, uint8(p.Hook))
	if err == nil && has&foundHeader == 0 {
		err = errNoHeader
	}
	return has, err
}

// walk reads the attributes from b[at] on, in any order and of any length. has
// is what was found before them.
//
// It does not use an attr.Decoder, which would take twice as long: an index into
// the list stays in a register. Attributes of 8 bytes, the 32-bit values, have a
// branch of their own: a processor that predicts it need not wait for one length
// to find the next. It is one long function so that its variables stay in
// registers.
//
//	 0           2      3         4
//	+-----------+------+---------+
//	| EtherType | hook | padding |    struct nfulnl_msg_packet_hdr
//	+-----------+------+---------+
func (p *Packet) walk(b []byte, at int, has found) (found, error) {
	for next := at; at <= len(b)-nlattr.HeaderLen; at = next {
		n := int(binary.NativeEndian.Uint16(b[at:]))
		typ := binary.NativeEndian.Uint16(b[at+2:]) & nlattr.TypeMask
		if n == 8 && at <= len(b)-8 {
			next = at + 8
		} else if n >= nlattr.HeaderLen && n <= len(b)-at && n >= lengths.Least(typ) {
			next = at + nlattr.Align(n)
		} else {
			return has, lengths.Check(b)
		}
		switch typ {
		case attrPacketHeader:
			p.Proto, p.Hook = nlattr.Uint16At(b, at), nfnl.Hook(b[at+6])
			has |= foundHeader
		case attrPrefix:
			p.Prefix = text(nlattr.ValueAt(b, at, n))
		case attrInDev:
			p.InDev = int(nlattr.Uint32At(b, at))
		case attrPhysInDev:
			p.PhysInDev = int(nlattr.Uint32At(b, at))
		case attrOutDev:
			p.OutDev = int(nlattr.Uint32At(b, at))
		case attrPhysOutDev:
			p.PhysOutDev = int(nlattr.Uint32At(b, at))
		case attrMark:
			p.Mark = nlattr.Uint32At(b, at)
		case attrHardwareAddr:
			p.HardwareAddr = nlattr.HardwareAddr(nlattr.ValueAt(b, at, n))
		case attrHardwareType:
			p.HardwareType = nlattr.Uint16At(b, at)
		case attrHardwareLen:
			p.HardwareLen = nlattr.Uint16At(b, at)
		case attrHardwareHeader:
			p.HardwareHeader = nlattr.ValueAt(b, at, n)
		case attrTimestamp:
			if n < lengths.Least(attrTimestamp) {
				return has, lengths.Check(b)
			}
			p.Time = nlattr.Time(nlattr.ValueAt(b, at, n))
		case attrUID:
			p.UID, p.HasOwner = nlattr.Uint32At(b, at), true
		case attrGID:
			p.GID = nlattr.Uint32At(b, at)
		case attrSeq:
			p.Seq = nlattr.Uint32At(b, at)
			has |= foundSeq
		case attrGlobalSeq:
			p.GlobalSeq = nlattr.Uint32At(b, at)
		case attrConntrack:
			if n > nlattr.HeaderLen { // else there is nothing to know
				p.conntrack = nlattr.ValueAt(b, at, n)
			}
		case attrConntrackInfo:
			p.ConntrackInfo = attr.ConntrackInfo(nlattr.Uint32At(b, at))
		case attrVLAN:
			d := attr.NewDecoder(b[at:])
			d.Next()
			p.VLAN = d.VLAN()
			if err := d.Err(); err != nil {
				return has, err
			}
		case attrLinkHeader:
			p.LinkHeader = nlattr.ValueAt(b, at, n)
		case attrPayload:
			p.Payload = nlattr.ValueAt(b, at, n)
		}
	}
	if at < len(b) {
		return has, lengths.Check(b)
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
