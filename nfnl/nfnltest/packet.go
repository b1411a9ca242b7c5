package nfnltest

import (
	"encoding/binary"
	"net/netip"

	"github.com/nfpacket/nfpacket/internal/checksum"
)

// Flags of a TCP segment, for the function TCP. They have the values of nfnl.TCPFin
// and so on.
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	PSH = 0x08
	ACK = 0x10
)

// UDP returns an IPv4 or IPv6 packet with a UDP datagram, for nfqueue.Packet.Payload
// or nflog.Packet.Payload. Its lengths and checksums are correct. It panics if one
// address is IPv4 and the other IPv6, or if the packet would be too long.
func UDP(src, dst netip.AddrPort, data []byte) []byte {
	return packet(src.Addr(), dst.Addr(), 17, append(ports(src, dst), 0, 0, 0, 0), data)
}

// TCP returns a TCP segment with the given flags and the sequence number 1; see UDP.
func TCP(src, dst netip.AddrPort, flags byte, data []byte) []byte {
	const headerWords, window = 5, 0xff
	header := append(ports(src, dst), 0, 0, 0, 1, 0, 0, 0, 0, headerWords<<4, flags, window, window, 0, 0, 0, 0)
	return packet(src.Addr(), dst.Addr(), 6, header, data)
}

// Ping returns an ICMP or ICMPv6 echo request; see UDP.
func Ping(src, dst netip.Addr, id, seq uint16, data []byte) []byte {
	protocol, request := byte(1), byte(8)
	if src.Is6() {
		protocol, request = 58, 128
	}
	header := binary.BigEndian.AppendUint16([]byte{request, 0, 0, 0}, id)
	return packet(src, dst, protocol, binary.BigEndian.AppendUint16(header, seq), data)
}

func ports(src, dst netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src.Port()), dst.Port())
}

// packet puts an IP header before a transport header and data. It panics if the
// addresses are not of one family, or the packet would be too long: that is a
// mistake in the test.
func packet(src, dst netip.Addr, protocol byte, header, data []byte) []byte {
	const ttl = 64
	if src.BitLen() != dst.BitLen() {
		panic("nfnltest: the addresses " + src.String() + " and " + dst.String() + " are of two families")
	}
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, ttl, protocol, 0, 0}
	if src.Is6() {
		b = []byte{0x60, 0, 0, 0, 0, 0, protocol, ttl}
	}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	b = append(append(b, header...), data...)
	if err := checksum.Finish(b); err != nil {
		panic("nfnltest: " + err.Error())
	}
	return b
}
