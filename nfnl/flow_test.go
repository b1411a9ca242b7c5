package nfnl_test

import (
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
	{"TCP", "4500003c 43bc4000 400672fc" + v4Addresses + "9c400050 00000000",
		flow("192.0.2.1:40000", "192.0.2.2:80", 6, 60), "tcp 192.0.2.1:40000 > 192.0.2.2:80"},
	{"UDP behind IPv4 options", "4600002400004000401124f9" + v4Addresses + "01010100 12340009 000c0000",
		flow("192.0.2.1:4660", "192.0.2.2:9", 17, 36), "udp 192.0.2.1:4660 > 192.0.2.2:9"},
	{"ICMP", "4500001c00004000400111dc" + v4Addresses + "0800126612340001",
		flow("192.0.2.1:0", "192.0.2.2:0", 1, 28), "icmp 192.0.2.1 > 192.0.2.2"},
	{"unknown protocol", "4500001c00004000405911dc" + v4Addresses + "0800126612340001",
		flow("192.0.2.1:0", "192.0.2.2:0", 89, 28), "protocol 89 192.0.2.1 > 192.0.2.2"},
	{"first fragment", "45000024 00002000 40110000" + v4Addresses + "12340009 00200000",
		flow("192.0.2.1:4660", "192.0.2.2:9", 17, 36), "udp 192.0.2.1:4660 > 192.0.2.2:9"},
	{"later fragment", "45000024 00000001 40110000" + v4Addresses + "12340009 00200000",
		flow("192.0.2.1:0", "192.0.2.2:0", 17, 36), "udp 192.0.2.1 > 192.0.2.2"},
	{"cut in the ports", "4500003c 43bc4000 400672fc" + v4Addresses + "9c4000",
		flow("192.0.2.1:0", "192.0.2.2:0", 6, 60), "tcp 192.0.2.1 > 192.0.2.2"},
	{"cut in the options", "4f00003c 43bc4000 400672fc" + v4Addresses + "9c400050",
		flow("192.0.2.1:0", "192.0.2.2:0", 6, 60), "tcp 192.0.2.1 > 192.0.2.2"},
	{"TCP, IPv6", "60000000 0014 0640" + v6Addresses + "9c400050",
		flow("[2001:db8::1]:40000", "[2001:db8::2]:80", 6, 60), "tcp [2001:db8::1]:40000 > [2001:db8::2]:80"},
	{"ICMPv6", "60000000 0008 3a40" + v6Addresses + "80003eab12340001",
		flow("[2001:db8::1]:0", "[2001:db8::2]:0", 58, 48), "icmpv6 2001:db8::1 > 2001:db8::2"},
	{"SCTP behind extension headers", "60000000 0024 0040" + v6Addresses + "3c00000000000000" + "8401000000000000 0000000000000000" + "12340009",
		flow("[2001:db8::1]:4660", "[2001:db8::2]:9", 132, 76), "sctp [2001:db8::1]:4660 > [2001:db8::2]:9"},
	{"first fragment, IPv6", "60000000 0010 2c40" + v6Addresses + "8800000112345678" + "12340009",
		flow("[2001:db8::1]:4660", "[2001:db8::2]:9", 136, 56), "udplite [2001:db8::1]:4660 > [2001:db8::2]:9"},
	{"later fragment, IPv6", "60000000 0010 2c40" + v6Addresses + "1100000812345678" + "12340009",
		flow("[2001:db8::1]:0", "[2001:db8::2]:0", 17, 56), "udp 2001:db8::1 > 2001:db8::2"},
	{"cut in an extension header", "60000000 0010 0040" + v6Addresses + "0602000012345678" + "12340009",
		flow("[2001:db8::1]:0", "[2001:db8::2]:0", 6, 56), "tcp 2001:db8::1 > 2001:db8::2"},
	{"cut before an extension header", "60000000 0010 3c40" + v6Addresses + "0600",
		flow("[2001:db8::1]:0", "[2001:db8::2]:0", 60, 56), "protocol 60 2001:db8::1 > 2001:db8::2"},
	{"longer than the length field", "60000000 0000 0640" + v6Addresses + "9c400050",
		flow("[2001:db8::1]:40000", "[2001:db8::2]:80", 6, 0), "tcp [2001:db8::1]:40000 > [2001:db8::2]:80"},
}

func flow(src, dst string, proto uint8, length int) nfnl.Flow {
	return nfnl.Flow{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Protocol: proto, Length: length}
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
		if !got.Src.IsValid() || !got.Dst.IsValid() || got.Src.Addr().BitLen() != got.Dst.Addr().BitLen() {
			t.Errorf("from %v to %v", got.Src, got.Dst)
		}
		if got.String() == "" {
			t.Error("no words for it")
		}
	})
}

func BenchmarkParseFlow(b *testing.B) {
	packet := unhex(b, flows[0].packet)
	b.ReportAllocs()
	for b.Loop() {
		nfnl.ParseFlow(packet)
	}
}
