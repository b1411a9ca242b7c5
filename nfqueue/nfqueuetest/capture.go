package nfqueuetest

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/capfile"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// ReadCapture returns the packets of a capture file, for Enqueue or for a handler.
// The file is pcap or pcapng, of link type Ethernet, RAW, LINUX_SLL or LINUX_SLL2,
// or NETLINK, as a nfnl.Config's Tap sees messages: then they are what was queued,
// with all that the kernel said of it but the connection, whose attributes stay
// behind in Enqueue. Netlink messages can be read on a machine with the byte order of
// the one that wrote them.
//
// Of other link types a packet has Proto, Family, Payload, Len, Time, HardwareAddr,
// and the Hook Output if the file says that the host sent it, and else Input, with
// the interface if the file has its index. The test ends if the file cannot be read
// or has no packets.
func ReadCapture(t testing.TB, name string) (packets []nfqueue.Packet) {
	t.Helper()
	records, err := capfile.ReadFile(name)
	if err != nil {
		t.Fatalf("read a capture: %v", err)
	}
	for i, r := range records {
		if messages, _, ok := r.Netlink(); ok {
			packets, err = appendQueued(packets, messages)
		} else if n, ok := r.Network(); ok {
			packets = append(packets, captured(r, n))
		} else {
			t.Fatalf("%s: packet %d of link type %d cannot be queued", name, i+1, r.Link)
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

// appendQueued appends the packets in netlink messages.
func appendQueued(packets []nfqueue.Packet, messages []byte) ([]nfqueue.Packet, error) {
	for len(messages) > 0 {
		m, rest, err := nfnl.Next(messages)
		if err != nil {
			return packets, err
		}
		if messages = rest; m.Type != typePacket {
			continue
		}
		var p nfqueue.Packet
		if err := p.Decode(m); err != nil {
			return packets, err
		}
		packets = append(packets, p)
	}
	return packets, nil
}

// captured returns the packet of a record.
func captured(r capfile.Record, n capfile.Network) nfqueue.Packet {
	p := nfqueue.Packet{
		Proto: n.Proto, Payload: n.Payload, Len: n.Length, Time: r.Time,
		Hook: nfnl.Input, InDev: n.Index, HardwareAddr: n.Addr,
	}
	if n.Outbound {
		p.Hook, p.InDev, p.OutDev, p.HardwareAddr = nfnl.Output, 0, n.Index, nil
	}
	guessFamily(&p)
	return p
}
