package nfqueue

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

// packetHeaderLen is the length of struct nfqnl_msg_packet_hdr.
const packetHeaderLen = 7

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
	attrConntrackInfo: 4,
	attrFullLen:       4,
	attrSkbInfo:       4,
	attrUID:           4,
	attrGID:           4,
	attrPriority:      4,
	attrClassID:       4,
}

// decode is Decode; found says whether p.ID could be read.
func (p *Packet) decode(m *nfnl.Message) (found bool, err error) {
	q := p.q
	*p = Packet{}
	p.q, p.Queue, p.Family, p.ConntrackInfo = q, m.Resource, m.Family, attr.InfoUntracked
	found, err = p.read(m.Attrs)
	p.Len = max(p.Len, len(p.Payload))
	return found, err
}

// read sets the fields that the attributes in b tell. It goes without an
// attr.Decoder, which would take twice as long, as package nflog does.
//
//	 0             4           6      7
//	+-------------+-----------+------+
//	| ID          | EtherType | hook |    struct nfqnl_msg_packet_hdr
//	+-------------+-----------+------+
func (p *Packet) read(b []byte) (found bool, err error) {
	at, next := 0, 0
	for ; at <= len(b)-attrHeaderLen; at = next {
		n := int(binary.NativeEndian.Uint16(b[at:]))
		typ := binary.NativeEndian.Uint16(b[at+2:]) & attrTypeMask
		if n == 8 && at <= len(b)-8 {
			next = at + 8
		} else if n >= attrHeaderLen && n <= len(b)-at && n >= leastLen(typ) {
			next = at + (n+3)&^3
		} else {
			return found, wrong(b)
		}
		switch typ {
		case attrPacketHeader:
			if n < attrHeaderLen+packetHeaderLen {
				return found, wrong(b)
			}
			h := value(b, at, n)
			p.ID = binary.BigEndian.Uint32(h)
			p.Proto = binary.BigEndian.Uint16(h[4:])
			p.Hook = nfnl.Hook(h[6])
			found = true
		case attrMark:
			p.Mark = be32(b, at)
		case attrTimestamp:
			if n < leastLen(attrTimestamp) {
				return found, wrong(b)
			}
			p.Time = attr.Time(value(b, at, n))
		case attrInDev:
			p.InDev = int(be32(b, at))
		case attrOutDev:
			p.OutDev = int(be32(b, at))
		case attrPhysInDev:
			p.PhysInDev = int(be32(b, at))
		case attrPhysOutDev:
			p.PhysOutDev = int(be32(b, at))
		case attrHardwareAddr:
			p.HardwareAddr = attr.HardwareAddr(value(b, at, n))
		case attrPayload:
			p.Payload = value(b, at, n)
		case attrConntrack:
			p.conntrack = value(b, at, n)
		case attrConntrackInfo:
			p.ConntrackInfo = attr.ConntrackInfo(be32(b, at))
		case attrFullLen:
			p.Len = int(be32(b, at))
		case attrSkbInfo:
			p.setSkbInfo(be32(b, at))
		case attrUID:
			p.UID, p.HasOwner = be32(b, at), true
		case attrGID:
			p.GID = be32(b, at)
		case attrSecurity:
			p.SecurityContext = value(b, at, n)
		case attrVLAN:
			d := attr.NewDecoder(b[at:])
			d.Next()
			p.VLAN = d.VLAN()
			if err := d.Err(); err != nil {
				return found, err
			}
		case attrLinkHeader:
			p.LinkHeader = value(b, at, n)
		case attrPriority:
			p.Priority = be32(b, at)
		case attrClassID:
			p.ClassID = be32(b, at)
		}
	}
	if at < len(b) {
		err = wrong(b)
	}
	return found, err
}

// value returns the value of the attribute of n bytes at b[at].
func value(b []byte, at, n int) []byte { return b[at+attrHeaderLen : at+n : at+n] }

// be32 returns the value of the attribute at b[at] as an integer.
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
