package pcapng

import (
	"encoding/binary"
	"iter"
	"slices"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Numbers of LINKTYPE_NETLINK's header.
const (
	arphrdNetlink    = 824 // ARPHRD_NETLINK
	netlinkNetfilter = 12  // NETLINK_NETFILTER
)

// Datagram returns the record of netlink messages that went to the kernel or came
// from it, for a file of Link Netlink. It copies them. Before them comes a header, as
// https://www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html has it:
//
//	 0             2               4        14
//	| packet type | hardware type | unused | netlink protocol |
func Datagram(sent bool, datagram []byte) Record {
	r := Record{Time: time.Now(), Interface: "nfnetlink", Direction: Inbound}
	header := [16]byte{1: packetHost}
	if sent {
		r.Direction, header[1] = Outbound, packetOutgoing
	}
	binary.BigEndian.PutUint16(header[2:], arphrdNetlink)
	binary.BigEndian.PutUint16(header[14:], netlinkNetfilter)
	r.Data = append(header[:], datagram...)
	r.Length = len(r.Data)
	return r
}

// typeLogged is the message that brings a logged packet.
const typeLogged = nfnl.Type(4 << 8) // NFULNL_MSG_PACKET of NFNL_SUBSYS_ULOG

// LogMessages returns the records of the logged packets in a datagram, for a file of
// Link NFLOG: messages without their netlink headers. It copies them.
func LogMessages(datagram []byte) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for len(datagram) > 0 {
			m, rest, err := nfnl.Next(datagram)
			if err != nil {
				return // the Reader counts it
			}
			const headerLen = 16 // sizeof(struct nlmsghdr)
			body := datagram[headerLen:min(binary.NativeEndian.Uint32(datagram), uint32(len(datagram)))]
			datagram = rest
			if m.Type == typeLogged && !yield(logMessage(m, body)) {
				return
			}
		}
	}
}

// logMessage returns the record of one message.
func logMessage(m nfnl.Message, body []byte) Record {
	r := Record{Interface: "nflog", Data: slices.Clone(body), Length: len(body), Queue: uint32(m.Resource), Time: time.Now()}
	var p nflog.Packet
	if p.Decode(m) == nil {
		r.ID = uint64(p.Seq)
		if !p.Time.IsZero() {
			r.Time = p.Time
		}
	}
	return r
}
