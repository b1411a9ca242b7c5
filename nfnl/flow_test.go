package nfnl_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
)

const (
	v4Addresses = "c0000201c0000202"
	v6Addresses = "20010db800000000000000000000000120010db8000000000000000000000002"
)

// flows are packets, as hexadecimal digits, with what ParseFlow says of them.
var flows = []struct {
	name, packet string
	want         nfnl.Flow
	text         string
}{
	{"TCP, cut behind its ports", "4500003c 43bc4000 400672fc" + v4Addresses + "9c400050 00000000",
		flow4(40000, 80, 6, 60, at(20, 0)), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"TCP with options", "4500002e 43bc4000 400672fc" + v4Addresses + "9c400050 00000001 00000002 6012ffff 00000000 02040218 6869",
		flow4(40000, 80, 6, 46, at(20, 44), flags(nfnl.TCPSyn|nfnl.TCPAck)), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"TCP, cut before its flags", "4500003c 43bc4000 400672fc" + v4Addresses + "9c400050 00000001 00000002 50",
		flow4(40000, 80, 6, 60, at(20, 0)), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"TCP that says that its header is longer than the packet", "45000028 43bc4000 400672fc" + v4Addresses + "9c400050 00000001 00000002 f002ffff 00000000",
		flow4(40000, 80, 6, 40, at(20, 0), flags(nfnl.TCPSyn)), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"UDP behind IPv4 options", "4600002400004000401124f9" + v4Addresses + "01010100 12340009 000c0000",
		flow4(4660, 9, 17, 36, at(24, 32)), "udp 192.0.2.1:4660 > 192.0.2.2:9"},
	{"DCCP", "45000024 00004000 40210000" + v4Addresses + "12340009 04000000 00000000 00000000",
		flow4(4660, 9, 33, 36, at(20, 36)), "dccp 192.0.2.1:4660 > 192.0.2.2:9"},
	{"ICMP echo", "4500001c00004000400111dc" + v4Addresses + "0800126612340001",
		flow4(0, 0, 1, 28, at(20, 28), icmp(8, 0, 0x1234)), "icmp 192.0.2.1 > 192.0.2.2"},
	{"ICMP error", "4500001c00004000400111dc" + v4Addresses + "0304126612340001",
		flow4(0, 0, 1, 28, at(20, 28), icmp(3, 4, 0)), "icmp 192.0.2.1 > 192.0.2.2"},
	{"ICMP, cut before its identifier", "4500001c00004000400111dc" + v4Addresses + "0000126612",
		flow4(0, 0, 1, 28, at(20, 0), icmp(0, 0, 0)), "icmp 192.0.2.1 > 192.0.2.2"},
	{"unknown protocol", "4500001c00004000405911dc" + v4Addresses + "0800126612340001",
		flow4(0, 0, 89, 28, at(20, 0)), "protocol 89 192.0.2.1 > 192.0.2.2"},
	{"AH of IPv4 is a transport protocol", "45000030 00004000 40330000" + v4Addresses + "06040000 00000001 00000001 000000000000000000000000 12340050",
		flow4(0, 0, 51, 48, at(20, 0)), "protocol 51 192.0.2.1 > 192.0.2.2"},
	{"first fragment", "45000024 00002000 40110000" + v4Addresses + "12340009 00200000",
		flow4(4660, 9, 17, 36, at(20, 28), fragment(0, true)), "udp 192.0.2.1:4660 > 192.0.2.2:9"},
	{"middle fragment", "45000024 000020b9 40110000" + v4Addresses + "12340009 00200000",
		flow4(0, 0, 17, 36, fragment(1480, true)), "udp 192.0.2.1 > 192.0.2.2"},
	{"last fragment", "45000024 00000001 40110000" + v4Addresses + "12340009 00200000",
		flow4(0, 0, 17, 36, fragment(8, false)), "udp 192.0.2.1 > 192.0.2.2"},
	{"cut in the ports", "4500003c 43bc4000 400672fc" + v4Addresses + "9c4000",
		flow4(0, 0, 6, 60, at(20, 0)), "tcp 192.0.2.1 > 192.0.2.2"},
	{"cut in the options", "4f00003c 43bc4000 400672fc" + v4Addresses + "9c400050",
		flow4(0, 0, 6, 60), "tcp 192.0.2.1 > 192.0.2.2"},
	{"padding behind a packet of a header alone", "45000014 00004000 40060000" + v4Addresses + "12340050 0000000000000000",
		flow4(0, 0, 6, 20, at(20, 0)), "tcp 192.0.2.1 > 192.0.2.2"},
	{"padding behind one port", "45000016 00004000 40110000" + v4Addresses + "12340050 0000000000000000",
		flow4(0, 0, 17, 22, at(20, 0)), "udp 192.0.2.1 > 192.0.2.2"},
	{"padding behind the TCP header's first bytes", "4500001c 00004000 40060000" + v4Addresses + "9c400050 00000001 00000002 5012ffff 00000000",
		flow4(40000, 80, 6, 28, at(20, 0)), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"above 64 KiB", "45000000 00004000 40060000" + v4Addresses + "9c400050 00000001 00000002 5010ffff 00000000 6869",
		flow4(40000, 80, 6, 0, at(20, 40), flags(nfnl.TCPAck)), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"TCP, IPv6", "60000000 0014 0640" + v6Addresses + "9c400050",
		flow6(40000, 80, 6, 60, at(40, 0)), "tcp [2001:db8::1]:40000 > [2001:db8::2]:80"},
	{"ICMPv6 echo", "60000000 0008 3a40" + v6Addresses + "80003eab12340001",
		flow6(0, 0, 58, 48, at(40, 48), icmp(128, 0, 0x1234)), "icmpv6 2001:db8::1 > 2001:db8::2"},
	{"ICMPv6 neighbour", "60000000 0008 3a40" + v6Addresses + "88003eab12340001",
		flow6(0, 0, 58, 48, at(40, 48), icmp(136, 0, 0)), "icmpv6 2001:db8::1 > 2001:db8::2"},
	{"SCTP behind extension headers", "60000000 0024 0040" + v6Addresses + "3c00000000000000" + "8401000000000000 0000000000000000" + "12340009",
		flow6(4660, 9, 132, 76, at(64, 0)), "sctp [2001:db8::1]:4660 > [2001:db8::2]:9"},
	{"TCP behind AH", "60000000 002c 3340" + v6Addresses + "06040000 00000001 00000001 000000000000000000000000" + "9c400050 00000001 00000002 5002ffff 00000000",
		flow6(40000, 80, 6, 84, at(64, 84), flags(nfnl.TCPSyn)), "tcp [2001:db8::1]:40000 > [2001:db8::2]:80"},
	{"first fragment, IPv6", "60000000 0010 2c40" + v6Addresses + "8800000112345678" + "1234000900000000",
		flow6(4660, 9, 136, 56, at(48, 56), fragment(0, true)), "udplite [2001:db8::1]:4660 > [2001:db8::2]:9"},
	{"last fragment, IPv6", "60000000 0010 2c40" + v6Addresses + "110005a812345678" + "12340009",
		flow6(0, 0, 17, 56, fragment(1448, false)), "udp 2001:db8::1 > 2001:db8::2"},
	{"fragment header of a whole datagram", "60000000 0010 2c40" + v6Addresses + "1100000012345678" + "1234000900080000",
		flow6(4660, 9, 17, 56, at(48, 56)), "udp [2001:db8::1]:4660 > [2001:db8::2]:9"},
	{"padding behind an extension header", "60000000 0008 3c40" + v6Addresses + "0600010400000000" + "12340050 0000",
		flow6(0, 0, 6, 48, at(48, 0)), "tcp 2001:db8::1 > 2001:db8::2"},
	{"cut in an extension header", "60000000 0010 0040" + v6Addresses + "0602000012345678" + "12340009",
		flow6(0, 0, 6, 56), "tcp 2001:db8::1 > 2001:db8::2"},
	{"cut before an extension header", "60000000 0010 3c40" + v6Addresses + "0600",
		flow6(0, 0, 60, 56), "protocol 60 2001:db8::1 > 2001:db8::2"},
	{"nothing follows", "60000000 0000 3b40" + v6Addresses + "12340050",
		flow6(0, 0, 59, 40, at(40, 0)), "protocol 59 2001:db8::1 > 2001:db8::2"},
	{"above 64 KiB, IPv6", "60000000 0000 0640" + v6Addresses + "9c400050 00000001 00000002 5010ffff 00000000 6869",
		flow6(40000, 80, 6, 0, at(40, 60), flags(nfnl.TCPAck)), "tcp [2001:db8::1]:40000 > [2001:db8::2]:80"},
}

func flow4(src, dst uint16, proto uint8, length int, more ...func(*nfnl.Flow)) nfnl.Flow {
	return flow("192.0.2.1", "192.0.2.2", src, dst, proto, length, more)
}

func flow6(src, dst uint16, proto uint8, length int, more ...func(*nfnl.Flow)) nfnl.Flow {
	return flow("2001:db8::1", "2001:db8::2", src, dst, proto, length, more)
}

func flow(src, dst string, srcPort, dstPort uint16, proto uint8, length int, more []func(*nfnl.Flow)) nfnl.Flow {
	f := nfnl.Flow{
		Src:      netip.AddrPortFrom(netip.MustParseAddr(src), srcPort),
		Dst:      netip.AddrPortFrom(netip.MustParseAddr(dst), dstPort),
		Protocol: proto,
		Length:   length,
	}
	for _, set := range more {
		set(&f)
	}
	return f
}

func at(transport, payload int) func(*nfnl.Flow) {
	return func(f *nfnl.Flow) { f.TransportOffset, f.PayloadOffset = transport, payload }
}

func flags(set nfnl.TCPFlags) func(*nfnl.Flow) {
	return func(f *nfnl.Flow) { f.TCPFlags = set }
}

func icmp(typ, code uint8, id uint16) func(*nfnl.Flow) {
	return func(f *nfnl.Flow) { f.ICMPType, f.ICMPCode, f.ICMPID = typ, code, id }
}

func fragment(offset int, more bool) func(*nfnl.Flow) {
	return func(f *nfnl.Flow) { f.FragmentOffset, f.MoreFragments = offset, more }
}

// unhex returns the bytes that digits, which may have spaces, stand for.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFlowIsReadFromIPHeaders(t *testing.T) {
	for _, c := range flows {
		t.Run(c.name, func(t *testing.T) {
			got, ok := nfnl.ParseFlow(unhex(t, c.packet))
			if got != c.want || !ok {
				t.Errorf("got %+v, %v, want %+v", got, ok, c.want)
			}
			if s := got.String(); s != c.text {
				t.Errorf("String returned %q, want %q", s, c.text)
			}
		})
	}
}

func TestWithoutAnIPHeaderThereIsNoFlow(t *testing.T) {
	for name, packet := range map[string]string{
		"empty":               "",
		"ARP":                 "0001080006040001",
		"IPv4, cut":           "4500003c43bc4000400672fcc0000201c00002",
		"IPv4, short header":  "4400003c43bc4000400672fc" + v4Addresses,
		"IPv6, cut":           "6000000000140640" + v6Addresses[2:],
		"a version yet to be": "7000000000140640" + v6Addresses,
	} {
		got, ok := nfnl.ParseFlow(unhex(t, packet))
		if ok || got != (nfnl.Flow{}) {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
	if s := (nfnl.Flow{}).String(); s != "no IP" {
		t.Errorf("the zero Flow is %q", s)
	}
}

func TestTCPFlagsHaveNames(t *testing.T) {
	for f, want := range map[nfnl.TCPFlags]string{
		0:                                 "",
		nfnl.TCPSyn | nfnl.TCPAck:         "syn,ack",
		nfnl.TCPFin | nfnl.TCPRst:         "fin,rst",
		nfnl.TCPPsh | nfnl.TCPUrg:         "psh,urg",
		nfnl.TCPEce | nfnl.TCPCwr:         "ecn,cwr",
		nfnl.TCPSyn | nfnl.TCPFlags(0x80): "syn,cwr",
	} {
		if got := f.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint8(f), got, want)
		}
	}
}

// What lies behind the packet's end changes nothing, and no field comes from it.
func TestBytesBehindThePacketAreNotRead(t *testing.T) {
	for _, c := range flows {
		packet := unhex(t, c.packet)
		whole := c.want.Length
		if whole == 0 || len(packet) < whole {
			continue
		}
		for _, fill := range []byte{0, 1, 0xff} {
			padded := append(bytes.Clone(packet[:whole]), bytes.Repeat([]byte{fill}, 64)...)
			if got, _ := nfnl.ParseFlow(padded); got != c.want {
				t.Errorf("%s, with %#x behind it: %+v, want %+v", c.name, fill, got, c.want)
			}
		}
	}
}

func TestParseFlowDoesNotAllocate(t *testing.T) {
	for _, c := range flows {
		packet := unhex(t, c.packet)
		if n := testing.AllocsPerRun(100, func() { nfnl.ParseFlow(packet) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func FuzzParseFlow(f *testing.F) {
	for _, c := range flows {
		f.Add(unhex(f, c.packet))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		got, ok := nfnl.ParseFlow(packet)
		if !ok {
			if got != (nfnl.Flow{}) {
				t.Errorf("no flow, but %+v", got)
			}
			return
		}
		checkOffsets(t, packet, got)
		if !got.Src.IsValid() || !got.Dst.IsValid() || got.Src.Addr().BitLen() != got.Dst.Addr().BitLen() {
			t.Errorf("from %v to %v", got.Src, got.Dst)
		}
		if got.String() == "" {
			t.Error("no words for it")
		}
	})
}

// checkOffsets fails the test unless the offsets lie within the packet, and what
// they point to is what the fields say.
func checkOffsets(t *testing.T, packet []byte, f nfnl.Flow) {
	t.Helper()
	end := len(packet)
	if f.Length > 0 {
		end = min(end, max(f.Length, 20))
	}
	if f.TransportOffset > end || f.PayloadOffset > end || f.PayloadOffset > 0 && f.PayloadOffset < f.TransportOffset+8 {
		t.Errorf("transport at %d, payload at %d, of %d bytes", f.TransportOffset, f.PayloadOffset, end)
	}
	if f.FragmentOffset > 0 && (f.TransportOffset > 0 || f.Src.Port() != 0 || f.TCPFlags != 0 || f.ICMPType != 0) {
		t.Errorf("a later fragment with a transport header: %+v", f)
	}
	if p := f.Src.Port(); p != 0 && (f.TransportOffset+4 > end || p != binary.BigEndian.Uint16(packet[f.TransportOffset:])) {
		t.Errorf("port %d is not at %d of %x", p, f.TransportOffset, packet)
	}
	if f.TCPFlags != 0 && (f.TransportOffset+14 > end || byte(f.TCPFlags) != packet[f.TransportOffset+13]) {
		t.Errorf("flags %v are not at %d of %x", f.TCPFlags, f.TransportOffset+13, packet)
	}
}

func BenchmarkParseFlow(b *testing.B) {
	packet := unhex(b, flows[0].packet)
	b.ReportAllocs()
	for b.Loop() {
		nfnl.ParseFlow(packet)
	}
}
