package capfile

import (
	"encoding/binary"
	"net"
)

// A Network is a packet from its network header on, with what its link header says.
type Network struct {
	Proto    uint16 // EtherType
	Payload  []byte
	Length   int  // of Payload before it was cut
	Outbound bool // sent by the host that captured it, as far as the header knows
	Index    int  // of the interface, 0 if it is not known
	Addr     net.HardwareAddr
}

// outgoing is the packet type of what the host sent (PACKET_OUTGOING).
const outgoing = 4

// Network returns the packet of a record, and false if its link type has none or its
// header is cut.
func (r Record) Network() (n Network, ok bool) {
	b := r.Data
	header := 0
	switch r.Link {
	case LinkRaw, LinkIPv4, LinkIPv6:
		if len(b) > 0 {
			n.Proto = map[byte]uint16{4: 0x0800, 6: 0x86dd}[b[0]>>4]
		}
		ok = n.Proto != 0
	case LinkEthernet:
		header = 14
		if ok = len(b) >= header; ok {
			n.Proto, n.Addr = binary.BigEndian.Uint16(b[12:]), net.HardwareAddr(b[6:12:12])
		}
	case LinkSLL:
		header = 16
		if ok = len(b) >= header; ok {
			n.Proto, n.Outbound = binary.BigEndian.Uint16(b[14:]), b[1] == outgoing
			n.Addr = address(b[6:14], int(binary.BigEndian.Uint16(b[4:])))
		}
	case LinkSLL2:
		header = 20
		if ok = len(b) >= header; ok {
			n.Proto, n.Outbound, n.Index = binary.BigEndian.Uint16(b), b[10] == outgoing, int(binary.BigEndian.Uint32(b[4:]))
			n.Addr = address(b[12:20], int(b[11]))
		}
	}
	if !ok {
		return Network{}, false
	}
	n.Payload, n.Length = b[header:], max(r.Length-header, len(b)-header)
	return n, true
}

// address returns the first n bytes of a field, nil for none.
func address(field []byte, n int) net.HardwareAddr {
	if n = min(n, len(field)); n == 0 {
		return nil
	}
	return field[:n:n]
}

// Netlink returns the messages of a record of link type NETLINK, and whether they went
// to the kernel. ok is false if it has none of nfnetlink.
//
//	 0             2               4        14         16
//	| packet type | hardware type | unused | protocol | messages
func (r Record) Netlink() (messages []byte, sent, ok bool) {
	const netfilter = 12 // NETLINK_NETFILTER
	if r.Link != LinkNetlink || len(r.Data) < 16 || binary.BigEndian.Uint16(r.Data[14:]) != netfilter {
		return nil, false, false
	}
	return r.Data[16:], r.Data[1] == outgoing, true
}
