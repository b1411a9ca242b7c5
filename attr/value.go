package attr

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// Time decodes a time of microsecond resolution, in the local time zone:
//
//	|    8 bytes    |    8 bytes    |
//	|    seconds    | microseconds  |
//
// That is struct nfqnl_msg_packet_timestamp of linux/netfilter/nfnetlink_queue.h
// and struct nfulnl_msg_packet_timestamp of nfnetlink_log.h.
func (d *Decoder) Time() time.Time {
	if len(d.value) < 16 {
		d.short(16)
	}
	return Time(d.value)
}

// Time is Decoder.Time for the value v of an attribute. The zero Time says that
// there are less than 16 bytes.
func Time(v []byte) time.Time {
	if len(v) < 16 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))*1000)
}

// AppendTime adds an attribute with t, cut to microseconds.
func AppendTime(b []byte, typ uint16, t time.Time) []byte {
	b = appendHeader(b, typ, 16)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint64(b, uint64(t.Nanosecond()/1000))
}

// maxHardwareAddr is the room for the address in struct nfqnl_msg_packet_hw and
// struct nfulnl_msg_packet_hw.
const maxHardwareAddr = 8

// HardwareAddr decodes a link-layer address of at most 8 bytes:
//
//	|  2 bytes  |  2 bytes  |      8 bytes      |
//	|  length   |  padding  | address and junk  |
//
// The address is a part of the Decoder's input. A length that goes beyond the
// field is truncated to what is there: link layers with longer addresses, such as
// InfiniBand, tell the length that didn't fit.
func (d *Decoder) HardwareAddr() net.HardwareAddr {
	if len(d.value) < 4 {
		d.short(4)
	}
	return HardwareAddr(d.value)
}

// HardwareAddr is Decoder.HardwareAddr for the value v of an attribute. Nil says
// that there are less than 4 bytes.
func HardwareAddr(v []byte) net.HardwareAddr {
	if len(v) < 4 {
		return nil
	}
	n := min(int(binary.BigEndian.Uint16(v)), maxHardwareAddr, len(v)-4)
	return net.HardwareAddr(v[4 : 4+n : 4+n])
}

// AppendHardwareAddr adds an attribute with at most the first 8 bytes of a.
func AppendHardwareAddr(b []byte, typ uint16, a net.HardwareAddr) []byte {
	var field [maxHardwareAddr]byte
	n := copy(field[:], a)
	b = appendHeader(b, typ, 4+len(field))
	b = append(b, 0, byte(n), 0, 0)
	return append(b, field[:]...)
}

// The attributes inside a VLAN tag, the same for a queue and a log.
const (
	vlanProto = 1 // NFQA_VLAN_PROTO, NFULA_VLAN_PROTO
	vlanTCI   = 2 // NFQA_VLAN_TCI, NFULA_VLAN_TCI
)

// VLAN is the IEEE 802.1Q tag a packet carried. The zero VLAN means untagged.
type VLAN struct {
	Protocol uint16 // EtherType of the tag: 0x8100, or 0x88a8 for a service tag
	TCI      uint16 // tag control information: priority, drop eligible bit, ID
}

// VLAN decodes a nested pair of VLAN protocol and tag control information, in
// either order.
func (d *Decoder) VLAN() VLAN {
	var v VLAN
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case vlanProto:
			v.Protocol = in.Uint16()
		case vlanTCI:
			v.TCI = in.Uint16()
		}
	}
	if d.inherit(&in) {
		return VLAN{}
	}
	return v
}

// AppendVLAN adds an attribute with both parts of v.
func AppendVLAN(b []byte, typ uint16, v VLAN) []byte {
	start := len(b)
	b = BeginNested(b, typ)
	b = AppendUint16(b, vlanProto, v.Protocol)
	b = AppendUint16(b, vlanTCI, v.TCI)
	return EndNested(b, start)
}

// ID returns the number of the VLAN, 0 to 4095. 0 means that the tag gives only
// a priority.
func (v VLAN) ID() uint16 {
	return v.TCI & 0x0fff
}

// Priority returns the priority code point, 0 to 7.
func (v VLAN) Priority() uint8 {
	return uint8(v.TCI >> 13)
}

// DropEligible reports whether the frame is to be dropped first when a link is
// congested.
func (v VLAN) DropEligible() bool {
	return v.TCI&0x1000 != 0
}

// String returns the tag as in "802.1Q id 42 prio 5 dei", without the parts
// that are zero, or "untagged" for the zero VLAN.
func (v VLAN) String() string {
	if v == (VLAN{}) {
		return "untagged"
	}
	s := fmt.Sprintf("%s id %d", v.protocol(), v.ID())
	if p := v.Priority(); p != 0 {
		s += fmt.Sprintf(" prio %d", p)
	}
	if v.DropEligible() {
		s += " dei"
	}
	return s
}

// protocol names the kind of tag as the ip program does.
func (v VLAN) protocol() string {
	switch v.Protocol {
	case 0x8100:
		return "802.1Q"
	case 0x88a8:
		return "802.1ad"
	}
	return fmt.Sprintf("%#04x", v.Protocol)
}
