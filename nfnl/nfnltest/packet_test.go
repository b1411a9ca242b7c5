package nfnltest_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
)

var (
	src4, dst4 = netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:53")
	src6, dst6 = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:53")
)

// built has a packet of each kind, with what it is.
var built = map[string][]byte{
	"udp 192.0.2.1:1000 > 192.0.2.2:53":         nfnltest.UDP(src4, dst4, []byte("hello")),
	"udp [2001:db8::1]:1000 > [2001:db8::2]:53": nfnltest.UDP(src6, dst6, nil),
	"tcp 192.0.2.1:1000 > 192.0.2.2:53":         nfnltest.TCP(src4, dst4, nfnltest.SYN, nil),
	"tcp [2001:db8::1]:1000 > [2001:db8::2]:53": nfnltest.TCP(src6, dst6, nfnltest.PSH|nfnltest.ACK, []byte("x")),
	"icmp 192.0.2.1 > 192.0.2.2":                nfnltest.Ping(src4.Addr(), dst4.Addr(), 1, 2, []byte("ping")),
	"icmpv6 2001:db8::1 > 2001:db8::2":          nfnltest.Ping(src6.Addr(), dst6.Addr(), 1, 2, nil),
}

func TestBuiltPacketsAreWhole(t *testing.T) {
	for want, b := range built {
		f, ok := nfnl.ParseFlow(b)
		if !ok || f.String() != want || f.Length != len(b) {
			t.Errorf("%s is %v of %d bytes, and has %d", want, f, f.Length, len(b))
		}
		if !checksum.OK(b) {
			t.Errorf("%s has a wrong checksum: %x", want, b)
		}
	}
}

func TestPacketBetweenTwoFamiliesIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was built")
		}
	}()
	nfnltest.UDP(src4, dst6, nil)
}

// pcap returns a file of the format pcap.
func pcap(order binary.AppendByteOrder, magic, link uint32, frames ...[]byte) (b []byte) {
	for _, word := range []uint32{magic, 0x00040002, 0, 0, 0xffff, link} {
		b = order.AppendUint32(b, word)
	}
	for _, f := range frames {
		for _, word := range []uint32{1, 2, uint32(len(f)), uint32(len(f))} {
			b = order.AppendUint32(b, word)
		}
		b = append(b, f...)
	}
	return b
}

// block returns a block of the format pcapng.
func block(order binary.AppendByteOrder, typ uint32, body []byte) []byte {
	body = append(body, make([]byte, -len(body)&3)...)
	n := uint32(len(body) + 12)
	b := order.AppendUint32(order.AppendUint32(nil, typ), n)
	return order.AppendUint32(append(b, body...), n)
}

// pcapng returns a file of the format pcapng.
func pcapng(order binary.AppendByteOrder, link uint16, frames ...[]byte) []byte {
	b := block(order, 0x0a0d0d0a, append(order.AppendUint32(nil, 0x1a2b3c4d), 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255))
	b = append(b, block(order, 1, order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, link), 0), 0))...)
	for _, f := range frames {
		body := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		body = order.AppendUint32(order.AppendUint32(body, uint32(len(f))), uint32(len(f)))
		b = append(b, block(order, 6, append(body, f...))...)
	}
	return b
}

// ethernet returns a frame.
func ethernet(etherType uint16, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 12), etherType), b...)
}

// cooked returns a frame of LINUX_SLL2.
func cooked(etherType uint16, b []byte) []byte {
	return append(append(binary.BigEndian.AppendUint16(nil, etherType), make([]byte, 18)...), b...)
}

func TestCapturesGiveTheirPackets(t *testing.T) {
	four, six := nfnltest.UDP(src4, dst4, []byte("four")), nfnltest.UDP(src6, dst6, []byte("six"))
	arp := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	little, big := binary.LittleEndian, binary.BigEndian
	for name, file := range map[string][]byte{
		"pcap, raw":                  pcap(little, 0xa1b2c3d4, 101, four, six),
		"pcap, big-endian, ns, raw":  pcap(big, 0xa1b23c4d, 101, four, six),
		"pcap, Ethernet, with ARP":   pcap(little, 0xa1b2c3d4, 1, ethernet(0x0800, four), ethernet(0x0806, arp), ethernet(0x86dd, six)),
		"pcapng, SLL2, with ARP":     pcapng(little, 276, cooked(0x0800, four), cooked(0x0806, arp), cooked(0x86dd, six)),
		"pcapng, big-endian, raw":    pcapng(big, 101, four, six),
		"pcapng, two sections, IPv4": append(pcapng(big, 228, four), pcapng(little, 229, six)...),
	} {
		got, err := nfnltest.ReadCapture(bytes.NewReader(file))
		if err != nil || len(got) != 2 || !bytes.Equal(got[0], four) || !bytes.Equal(got[1], six) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		if cut, err := nfnltest.ReadCapture(bytes.NewReader(file[:len(file)-3])); err == nil || len(cut) != 1 {
			t.Errorf("%s, cut: %d packets, %v", name, len(cut), err)
		}
	}
}

func TestFilesThatAreNoCapturesAreRefused(t *testing.T) {
	for name, file := range map[string][]byte{
		"empty":     nil,
		"text":      []byte("this is a text and no capture file"),
		"link type": pcap(binary.LittleEndian, 0xa1b2c3d4, 147, []byte{1}),
	} {
		if got, err := nfnltest.ReadCapture(bytes.NewReader(file)); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}

func FuzzReadCapture(f *testing.F) {
	f.Add(pcap(binary.LittleEndian, 0xa1b2c3d4, 1, ethernet(0x0800, []byte{0x45})))
	f.Add(pcapng(binary.BigEndian, 276, cooked(0x86dd, []byte{0x60})))
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, _ := nfnltest.ReadCapture(bytes.NewReader(b))
		total := 0
		for _, p := range packets {
			total += len(p)
		}
		if total > len(b) {
			t.Errorf("%d bytes of packets in a file of %d", total, len(b))
		}
	})
}
