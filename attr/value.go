package attr

import "fmt"

// The attributes inside a VLAN tag, the same for a queue and a log.
const (
	vlanProto = 1 // NFQA_VLAN_PROTO, NFULA_VLAN_PROTO
	vlanTCI   = 2 // NFQA_VLAN_TCI, NFULA_VLAN_TCI
)

// VLAN is the IEEE 802.1Q tag of a packet. The zero VLAN means that the packet has
// no tag.
type VLAN struct {
	Protocol uint16 // EtherType of the tag: 0x8100, or 0x88a8 for a service tag
	TCI      uint16 // tag control information: priority, drop eligible bit, ID
}

// VLAN returns the VLAN tag in the current attribute, which is a nested list of its
// protocol and its tag control information (NFQA_VLAN, NFULA_VLAN).
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

// AppendVLAN appends v as an attribute that Decoder.VLAN decodes.
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

// String describes the tag, for example "802.1Q id 42 prio 5 dei". A priority or
// drop eligible bit of zero is left out. The zero VLAN is "untagged".
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
