package attr_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// mask4 and mask6 let any port of the source in.
var (
	mask4 = netip.MustParseAddrPort("255.255.255.255:0")
	mask6 = netip.MustParseAddrPort("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:0")
)

// expectations are some that can be used, and what they are on the wire.
func expectations() map[string]struct {
	e    attr.Expectation
	wire []byte
} {
	four := func(typ uint16, src, dst string, srcPort, dstPort uint16) []byte {
		s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
		return testkit.TLV(typ|0x8000, testkit.List(
			testkit.TLV(0x8001, testkit.List(testkit.TLV(1, s[:]...), testkit.TLV(2, d[:]...))...),
			testkit.TLV(0x8002, testkit.List(testkit.TLV(1, 6), testkit.TLV(2, byte(srcPort>>8), byte(srcPort)), testkit.TLV(3, byte(dstPort>>8), byte(dstPort)))...))...)
	}
	six := func(typ uint16, src, dst string, srcPort, dstPort uint16) []byte {
		s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
		return testkit.TLV(typ|0x8000, testkit.List(
			testkit.TLV(0x8001, testkit.List(testkit.TLV(3, s[:]...), testkit.TLV(4, d[:]...))...),
			testkit.TLV(0x8002, testkit.List(testkit.TLV(1, 17), testkit.TLV(2, byte(srcPort>>8), byte(srcPort)), testkit.TLV(3, byte(dstPort>>8), byte(dstPort)))...))...)
	}
	const server, client = "192.0.2.2", "192.0.2.1"
	ftp := tuple(6, server+":20", client+":1001")
	ones := mask6.Addr().String()
	return map[string]struct {
		e    attr.Expectation
		wire []byte
	}{
		"IPv4": {
			attr.Expectation{Tuple: ftp, Mask: mask4},
			testkit.List(four(2, server, client, 20, 1001), four(3, "255.255.255.255", client, 0, 1001)),
		},
		"IPv6": {
			attr.Expectation{Tuple: tuple(17, "[2001:db8::2]:69", "[2001:db8::1]:1002"), Mask: mask6},
			testkit.List(six(2, "2001:db8::2", "2001:db8::1", 69, 1002), six(3, ones, "2001:db8::1", 0, 1002)),
		},
		"all of it": {
			attr.Expectation{
				Tuple: ftp, Mask: netip.MustParseAddrPort("255.255.255.0:65535"), Permanent: true, Inactive: true, Helper: "ftp", Class: 2,
				NAT: attr.ExpectationNAT{Reply: true, To: netip.MustParseAddrPort("198.51.100.7:4660")}, Function: "nat-follow-master",
			},
			testkit.List(four(2, server, client, 20, 1001), four(3, "255.255.255.0", client, 0xffff, 1001),
				testkit.TLV(6, []byte("ftp\x00")...), testkit.TLV(8, 0, 0, 0, 3), testkit.TLV(9, 0, 0, 0, 2),
				testkit.TLV(0x800a, testkit.List(testkit.TLV(1, 0, 0, 0, 1), four(2, "198.51.100.7", client, 0x1234, 1001))...),
				testkit.TLV(11, []byte("nat-follow-master\x00")...)),
		},
		"from anybody, NAT in the master's direction": {
			attr.Expectation{
				Tuple: ftp, Mask: netip.MustParseAddrPort("0.0.0.0:0"), Permanent: true,
				NAT: attr.ExpectationNAT{To: netip.MustParseAddrPort("0.0.0.0:9")},
			},
			testkit.List(four(2, server, client, 20, 1001), four(3, "0.0.0.0", client, 0, 1001), testkit.TLV(8, 0, 0, 0, 1),
				testkit.TLV(0x800a, testkit.List(testkit.TLV(1, 0, 0, 0, 0), four(2, "0.0.0.0", client, 9, 1001))...)),
		},
	}
}

func TestExpectationOnTheWire(t *testing.T) {
	for name, c := range expectations() {
		t.Run(name, func(t *testing.T) {
			if err := c.e.Check(); err != nil {
				t.Fatal(err)
			}
			got := attr.AppendExpectation(nil, &c.e)
			if !bytes.Equal(got, c.wire) {
				t.Errorf("got  %x\nwant %x", got, c.wire)
			}
			var back attr.Expectation
			if err := back.Decode(got); err != nil || back != c.e {
				t.Errorf("comes back as %+v, %v, and was %+v", back, err, c.e)
			}
			buf := make([]byte, 0, 1024)
			noAllocs(t, "AppendExpectation", func() { attr.AppendExpectation(buf, &c.e) })
		})
	}
}

// The zone is the master's: the kernel refuses one in the tuple.
func TestExpectationHasNoZone(t *testing.T) {
	e := attr.Expectation{Tuple: tuple(6, "192.0.2.2:20", "192.0.2.1:1001"), Mask: mask4}
	want := attr.AppendExpectation(nil, &e)
	e.Tuple.Zone = 9
	if got := attr.AppendExpectation(nil, &e); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestExpectationsThatCannotBeUsed(t *testing.T) {
	for text, edit := range map[string]func(*attr.Expectation){
		"Tuple has no Src or no Dst":    func(e *attr.Expectation) { e.Tuple.Dst = netip.AddrPort{} },
		"Tuple has no Src":              func(e *attr.Expectation) { e.Tuple.Src = netip.AddrPort{} },
		"Mask is missing":               func(e *attr.Expectation) { e.Mask = netip.AddrPort{} },
		"IPv4 and others IPv6":          func(e *attr.Expectation) { e.Mask = mask6 },
		"some addresses are IPv4":       func(e *attr.Expectation) { e.Tuple.Src = netip.MustParseAddrPort("[::1]:1") },
		"some addresses":                func(e *attr.Expectation) { e.NAT.To = netip.MustParseAddrPort("[::1]:1") },
		"Tuple.Protocol is 0":           func(e *attr.Expectation) { e.Tuple.Protocol = 0 },
		"Tuple.Protocol is 1":           func(e *attr.Expectation) { e.Tuple.Protocol = 1 },
		"Tuple.Protocol is 58":          func(e *attr.Expectation) { e.Tuple.Protocol = 58 },
		"Helper has 16 bytes, above 15": func(e *attr.Expectation) { e.Helper = strings.Repeat("x", 16) },
		"Function has 64 bytes":         func(e *attr.Expectation) { e.Function = strings.Repeat("x", 64) },
		"Function needs NAT.To":         func(e *attr.Expectation) { e.Function = "nat-follow-master" },
		"NAT has no address in To":      func(e *attr.Expectation) { e.NAT.Reply = true },
	} {
		e := attr.Expectation{Tuple: tuple(6, "192.0.2.2:20", "192.0.2.1:1001"), Mask: mask4, Helper: strings.Repeat("x", 15)}
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		edit(&e)
		if err := e.Check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %s", err, text)
		}
	}
}

func TestExpectationRefusesShortValues(t *testing.T) {
	const text = "expectation: inside type 10: malformed attribute: type 1 has 1 bytes, not 4"
	e := attr.Expectation{Class: 7}
	err := e.Decode(testkit.List(testkit.TLV(0x800a, testkit.List(testkit.TLV(1, 1))...)))
	if err == nil || err.Error() != text || e != (attr.Expectation{}) {
		t.Errorf("got %v, %+v, want %s", err, e, text)
	}
}

// FuzzExpectation checks that any bytes are decoded or an error, and that what
// can be used comes back from the wire as it was.
func FuzzExpectation(f *testing.F) {
	for _, c := range expectations() {
		f.Add(c.wire)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e attr.Expectation
		if err := e.Decode(b); err != nil {
			if !errors.Is(err, attr.ErrMalformed) || e != (attr.Expectation{}) {
				t.Fatalf("%v, %+v", err, e)
			}
			return
		}
		if e.Check() != nil {
			return
		}
		e.Tuple = attr.Tuple{Protocol: e.Tuple.Protocol, Src: e.Tuple.Src, Dst: e.Tuple.Dst} // no zone, and no ICMP
		var back attr.Expectation
		if err := back.Decode(attr.AppendExpectation(nil, &e)); err != nil || back != e {
			t.Fatalf("%+v comes back as %+v, %v", e, back, err)
		}
	})
}
