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
	records, err := capfile.ReadFile(name)
	if err != nil {
		t.Fatalf("read a capture: %v", err)
	}
	for i, r := range records {
		if messages, _, ok := r.Netlink(); ok {
			packets, err = appendLogged(packets, messages)
		} else if r.Link == capfile.LinkNFLOG {
			packets, err = appendBody(packets, r)
		} else if n, ok := r.Network(); ok {
			packets = append(packets, captured(r, n))
		} else {
			t.Fatalf("%s: packet %d of link type %d cannot be logged", name, i+1, r.Link)
		}
		if err != nil {
			t.Fatalf("%s: message %d: %v", name, i+1, err)
		}
	}
	if len(packets) == 0 {
		t.Fatalf("%s has no packets", name)
	}
	return packets
}

// appendLogged appends the packets in netlink messages.
func appendLogged(packets []nflog.Packet, messages []byte) ([]nflog.Packet, error) {
	for len(messages) > 0 {
		m, rest, err := nfnl.Next(messages)
		if err != nil {
			return packets, err
		}
		if messages = rest; m.Type != typePacket {
			continue
		}
		if packets, err = appendMessage(packets, m); err != nil {
			return packets, err
		}
	}
	return packets, nil
}

// appendBody appends the packet of a record of link type NFLOG: a message without its
// netlink header.
//
//	 0        1         2       4
//	| family | version | group | attributes
func appendBody(packets []nflog.Packet, r capfile.Record) ([]nflog.Packet, error) {
	if len(r.Data) < 4 {
		return packets, capfile.ErrFormat
	}
	m := nfnl.Message{Type: typePacket, Family: nfnl.Family(r.Data[0]), Resource: binary.BigEndian.Uint16(r.Data[2:]), Attrs: r.Data[4:]}
	return appendMessage(packets, m)
}

// appendMessage appends the packet of a message.
func appendMessage(packets []nflog.Packet, m nfnl.Message) ([]nflog.Packet, error) {
	var p nflog.Packet
	if err := p.Decode(m); err != nil {
		return packets, err
	}
	return append(packets, p), nil
}

// captured returns the packet of a record.
func captured(r capfile.Record, n capfile.Network) nflog.Packet {
	p := nflog.Packet{
		Proto: n.Proto, Family: family(n.Proto), Payload: n.Payload, Time: r.Time,
		Hook: nfnl.Input, InDev: n.Index, HardwareAddr: n.Addr,
	}
	if n.Outbound {
		p.Hook, p.InDev, p.OutDev, p.HardwareAddr = nfnl.Output, 0, n.Index, nil
	}
	return p
}

// family returns that of the hooks that see packets of an EtherType.
func family(proto uint16) nfnl.Family {
	return map[uint16]nfnl.Family{0x0800: nfnl.IPv4, 0x86dd: nfnl.IPv6, 0x0806: nfnl.ARP}[proto]
}
