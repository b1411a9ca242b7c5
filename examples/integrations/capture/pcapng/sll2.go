package pcapng

import "encoding/binary"

// sll2Len is the length of the header of LINKTYPE_LINUX_SLL2.
const sll2Len = 20

// Packet types of that header (PACKET_HOST and PACKET_OUTGOING of
// linux/if_packet.h).
const (
	packetHost     = 0
	packetOutgoing = 4
)

// sll2 is what the header tells.
type sll2 struct {
	proto     uint16 // EtherType
	index     int    // of the interface
	hardware  uint16 // ARPHRD_ number, 0 if it is not known
	direction Direction
	addr      []byte // the sender's
}

// appendSLL2 appends a header, as
// https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html has it:
//
//	 0       2          4           8          10       11          12                 20
//	| proto | reserved | interface | hardware | packet | length of | link-layer address |
//	|       |          | index     | type     | type   | address   | with zeros behind  |
func appendSLL2(b []byte, h sll2) []byte {
	var addr [8]byte
	n := copy(addr[:], h.addr)
	packet := byte(packetHost)
	if h.direction == Outbound {
		packet = packetOutgoing
	}
	b = binary.BigEndian.AppendUint16(b, h.proto)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(h.index))
	b = binary.BigEndian.AppendUint16(b, h.hardware)
	b = append(b, packet, byte(n))
	return append(b, addr[:]...)
}
