package capfile

import (
	"errors"
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
)

// ErrLink is why a record has no packet.
var ErrLink = errors.New("no IP packet in a record of this link type")

// ReadPackets returns the packets of a file for a test kit. Netlink messages of a type
// are read by decode, others are skipped; any other record by of. The test ends if
// the file cannot be read or has no packets.
func ReadPackets[P any](t testing.TB, name string, typ nfnl.Type, decode func(*P, nfnl.Message) error, of func(Record) (P, error)) (packets []P) {
	t.Helper()
	records, err := ReadFile(name)
	if err != nil {
		t.Fatalf("read a capture: %v", err)
	}
	for i, r := range records {
		some, err := packetsOf(r, typ, decode, of)
		if err != nil {
			t.Fatalf("%s: record %d, of link type %d: %v", name, i+1, r.Link, err)
		}
		packets = append(packets, some...)
	}
	if len(packets) == 0 {
		t.Fatalf("%s has no packets", name)
	}
	return packets
}

// packetsOf returns the packets of a record.
func packetsOf[P any](r Record, typ nfnl.Type, decode func(*P, nfnl.Message) error, of func(Record) (P, error)) (packets []P, err error) {
	messages, _, ok := r.Netlink()
	if !ok {
		p, err := of(r)
		return []P{p}, err
	}
	for len(messages) > 0 {
		m, rest, err := nfnl.Next(messages)
		if err != nil {
			return nil, err
		}
		if messages = rest; m.Type != typ {
			continue
		}
		var p P
		if err := decode(&p, m); err != nil {
			return nil, err
		}
		packets = append(packets, p)
	}
	return packets, nil
}

// Seen returns where a hook would have seen a packet of a capture: what the host sent
// at Output, the rest at Input. The sender's address is known at Input only.
func (n Network) Seen() (hook nfnl.Hook, in, out int, from net.HardwareAddr) {
	if n.Outbound {
		return nfnl.Output, 0, n.Index, nil
	}
	return nfnl.Input, n.Index, 0, n.Addr
}
