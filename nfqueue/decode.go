package nfqueue

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/hooks"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// packetHeaderLen is the length of struct nfqnl_msg_packet_hdr.
const packetHeaderLen = 7

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
	attrConntrackInfo: 4,
	attrFullLen:       4,
	attrSkbInfo:       4,
	attrUID:           4,
	attrGID:           4,
	attrPriority:      4,
	attrClassID:       4,
}

// decode sets p to the packet with the attributes; found reports whether p.ID could
// be read. It does not change to which queue p belongs.
func (p *Packet) decode(family nfnl.Family, attrs []byte) (found bool, err error) {
	q, from, n := p.q, p.from, p.Queue
	*p = Packet{} // a literal with values would be made elsewhere and copied
	p.q, p.from, p.Queue, p.Family, p.ConntrackInfo = q, from, n, family, attr.InfoUntracked
	found, err = p.read(attrs)
	p.Hook = hooks.Of(family, uint8(p.Hook))
	p.Len = max(p.Len, len(p.Payload))
	return found, err
}

// read sets the fields for which b has attributes.
//
// It does not use an attr.Decoder, which would take twice as long: an index into
// the list stays in a register. Attributes of 8 bytes, the 32-bit values, have a
// branch of their own: a processor that predicts it need not wait for one length
// to find the next. It is one long function so that its variables stay in
// registers.
//
//	 0             4           6      7
//	+-------------+-----------+------+
//	| ID          | EtherType | hook |    struct nfqnl_msg_packet_hdr
//	+-------------+-----------+------+
func (p *Packet) read(b []byte) (found bool, err error) {
	at, next := 0, 0
	for ; at <= len(b)-nlattr.HeaderLen; at = next {
		n := int(binary.NativeEndian.Uint16(b[at:]))
		typ := binary.NativeEndian.Uint16(b[at+2:]) & nlattr.TypeMask
		if n == 8 && at <= len(b)-8 {
			next = at + 8
		} else if n >= nlattr.HeaderLen && n <= len(b)-at && n >= lengths.Least(typ) {
			next = at + nlattr.Align(n)
		} else {
			return found, lengths.Check(b)
		}
		switch typ {
		case attrPacketHeader:
			if n < nlattr.HeaderLen+packetHeaderLen {
				return found, lengths.Check(b)
			}
			h := nlattr.ValueAt(b, at, n)
			p.ID = binary.BigEndian.Uint32(h)
			p.Proto = binary.BigEndian.Uint16(h[4:])
			p.Hook = nfnl.Hook(h[6])
			found = true
		case attrMark:
			p.Mark = nlattr.Uint32At(b, at)
		case attrTimestamp:
			if n < lengths.Least(attrTimestamp) {
				return found, lengths.Check(b)
			}
			p.Time = nlattr.Time(nlattr.ValueAt(b, at, n))
		case attrInDev:
			p.InDev = int(nlattr.Uint32At(b, at))
		case attrOutDev:
			p.OutDev = int(nlattr.Uint32At(b, at))
		case attrPhysInDev:
			p.PhysInDev = int(nlattr.Uint32At(b, at))
		case attrPhysOutDev:
			p.PhysOutDev = int(nlattr.Uint32At(b, at))
		case attrHardwareAddr:
			p.HardwareAddr = nlattr.HardwareAddr(nlattr.ValueAt(b, at, n))
		case attrPayload:
			p.Payload = nlattr.ValueAt(b, at, n)
		case attrConntrack:
			p.conntrack = nlattr.ValueAt(b, at, n)
		case attrConntrackInfo:
			p.ConntrackInfo = attr.ConntrackInfo(nlattr.Uint32At(b, at))
		case attrFullLen:
			p.Len = int(nlattr.Uint32At(b, at))
		case attrSkbInfo:
			p.setSkbInfo(nlattr.Uint32At(b, at))
		case attrUID:
			p.UID, p.HasOwner = nlattr.Uint32At(b, at), true
		case attrGID:
			p.GID = nlattr.Uint32At(b, at)
		case attrSecurity:
			p.SecurityContext = nlattr.ValueAt(b, at, n)
		case attrVLAN:
			d := attr.NewDecoder(b[at:])
			d.Next()
			p.VLAN = d.VLAN()
			if err := d.Err(); err != nil {
				return found, err
			}
		case attrLinkHeader:
			p.LinkHeader = nlattr.ValueAt(b, at, n)
		case attrPriority:
			p.Priority = nlattr.Uint32At(b, at)
		case attrClassID:
			p.ClassID = nlattr.Uint32At(b, at)
		}
	}
	if at < len(b) {
		err = lengths.Check(b)
	}
	return found, err
}
