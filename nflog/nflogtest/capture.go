package nflogtest

import (
	"encoding/binary"
	"testing"

	"github.com/nfpacket/nfpacket/internal/capfile"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// ReadCapture returns the packets of a capture file, for Kernel.Log. The file has the
// format pcap or pcapng, and the link type Ethernet, RAW, LINUX_SLL, LINUX_SLL2,
// NFLOG or NETLINK. The test fails if the file cannot be read or has no packets.
//
// A file of link type NFLOG, which "tcpdump -i nflog:5" writes, has the attributes of
// logged packets; one of link type NETLINK has the messages that nfnl.Config.Tap
// gets. Packets of both have all fields that the kernel sent. Log does not deliver
// their connections: pass Packet.ConntrackBytes to LogTracked. Such a file can be
// read only on a machine of the byte order of the one that wrote it.
//
// A packet of the other link types has only Proto, Family, Payload, Time, Hook and,
// if the file has them, HardwareAddr and the interface. Hook is Output, and OutDev is
// set, if the file marks the packet as sent by the host. Otherwise Hook is Input, and
// InDev and HardwareAddr are set.
func ReadCapture(t testing.TB, name string) (packets []nflog.Packet) {
	t.Helper()
	return capfile.ReadPackets(t, name, typePacket, (*nflog.Packet).Decode, captured)
}

// captured returns the packet of a record.
func captured(r capfile.Record) (p nflog.Packet, err error) {
	if r.Link == capfile.LinkNFLOG {
		return body(r.Data)
	}
	n, ok := r.Network()
	if !ok {
		return p, capfile.ErrLink
	}
	p = nflog.Packet{Proto: n.Proto, Family: family(n.Proto), Payload: n.Payload, Time: r.Time}
	p.Hook, p.InDev, p.OutDev, p.HardwareAddr = n.Seen()
	return p, nil
}

// body returns the packet in the data of link type NFLOG: a message without its
// netlink header.
//
//	 0        1         2       4
//	| family | version | group | attributes
func body(data []byte) (p nflog.Packet, err error) {
	if len(data) < 4 {
		return p, capfile.ErrFormat
	}
	err = p.Decode(nfnl.Message{Type: typePacket, Family: nfnl.Family(data[0]), Resource: binary.BigEndian.Uint16(data[2:]), Attrs: data[4:]})
	return p, err
}

// family returns that of the hooks that see packets of an EtherType.
func family(proto uint16) nfnl.Family {
	return map[uint16]nfnl.Family{0x0800: nfnl.IPv4, 0x86dd: nfnl.IPv6, 0x0806: nfnl.ARP}[proto]
}
