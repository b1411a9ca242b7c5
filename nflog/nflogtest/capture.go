package nflogtest

import (
	"encoding/binary"
	"testing"

	"github.com/nfpacket/nfpacket/internal/capfile"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// ReadCapture returns the packets of a capture file, for Kernel.Log. The file is pcap
// or pcapng, of link type Ethernet, RAW, LINUX_SLL or LINUX_SLL2, or NFLOG, which
// "tcpdump -i nflog:5" writes, or NETLINK, as a nfnl.Config's Tap sees messages: then
// they have all that the kernel said of them but the connection, which LogTracked
// takes. Netlink attributes can be read on a machine with the byte order of the one
// that wrote them.
//
// Of other link types a packet has Proto, Family, Payload, Time, HardwareAddr, and
// the Hook Output if the file says that the host sent it, and else Input, with the
// interface if the file has its index. The test ends if the file cannot be read or
// has no packets.
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
