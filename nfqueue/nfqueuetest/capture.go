package nfqueuetest

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/capfile"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// ReadCapture returns the packets of a capture file, for Enqueue or to call a handler
// with. The file has the format pcap or pcapng, and the link type Ethernet, RAW,
// LINUX_SLL, LINUX_SLL2 or NETLINK. The test fails if the file cannot be read or has
// no packets.
//
// A file of link type NETLINK has the messages that nfnl.Config.Tap gets. The packets
// in it are those that were queued, with all their fields. Such a file can be read
// only on a machine of the byte order of the one that wrote it.
//
// A packet of the other link types has only Proto, Family, Payload, Len, Time, Hook
// and, if the file has them, HardwareAddr and the interface. Hook is Output, and
// OutDev is set, if the file marks the packet as sent by the host. Otherwise Hook is
// Input, and InDev and HardwareAddr are set.
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
