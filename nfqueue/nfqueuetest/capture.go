package nfqueuetest

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/capfile"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// ReadCapture returns the packets of a capture file, for Enqueue or for a handler.
// The file is pcap or pcapng, of link type Ethernet, RAW, LINUX_SLL or LINUX_SLL2,
// or NETLINK, as a nfnl.Config's Tap sees messages: then they are what was queued,
// with all that the kernel said of it but the connection, whose attributes
// Enqueue leaves out. Netlink messages can be read on a machine with the byte order of
// the one that wrote them.
//
// Of other link types a packet has Proto, Family, Payload, Len, Time, HardwareAddr,
// and the Hook Output if the file says that the host sent it, and else Input, with
// the interface if the file has its index. The test ends if the file cannot be read
// or has no packets.
func ReadCapture(t testing.TB, name string) (packets []nfqueue.Packet) {
	t.Helper()
	return capfile.ReadPackets(t, name, typePacket, (*nfqueue.Packet).Decode, captured)
}

// captured returns the packet of a record.
func captured(r capfile.Record) (p nfqueue.Packet, err error) {
	n, ok := r.Network()
	if !ok {
		return p, capfile.ErrLink
	}
	p = nfqueue.Packet{Proto: n.Proto, Payload: n.Payload, Len: n.Length, Time: r.Time}
	p.Hook, p.InDev, p.OutDev, p.HardwareAddr = n.Seen()
	guessFamily(&p)
	return p, nil
}
