package nfnltest_test

import (
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
