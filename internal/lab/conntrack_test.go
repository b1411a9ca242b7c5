//go:build linux

package lab_test

import (
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// Each case has an action before connection tracking, one behind it, and a match
// that is to count the packet.
func TestConntrackTerms(t *testing.T) {
	label := [16]byte{0: 1, 7: 1, 15: 0x80}
	for _, tt := range []struct {
		name          string
		before, after lab.Term
		match         lab.Term
		packets       uint64
	}{
		{"new", lab.Accept(), lab.Accept(), lab.Tracked(lab.New), 1},
		{"not established", lab.Accept(), lab.Accept(), lab.Tracked(lab.Established | lab.Related | lab.Invalid), 0},
		{"notrack", lab.NoTrack(), lab.Accept(), lab.Tracked(lab.Untracked), 1},
		{"mark", lab.Accept(), lab.SetCTMark(0xfeed), lab.CTMark(0xfeed), 1},
		{"other mark", lab.Accept(), lab.SetCTMark(0xfeed), lab.CTMark(0xbeef), 0},
		{"labels", lab.Accept(), lab.SetCTLabels(label), lab.CTLabel([16]byte{15: 0xff}), 1},
		{"other label", lab.Accept(), lab.SetCTLabels(label), lab.CTLabel([16]byte{1: 0xff}), 0},
		{"zone", lab.SetZone(9), lab.SetCTMark(1), lab.CTMark(1), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNet(t)
			raw, err := n.Chain(lab.IPv4, lab.Output, -300)
			testkit.Must(t, err)
			addRule(t, raw, lab.UDP(9999), tt.before)
			addRule(t, chain(t, n, lab.IPv4, lab.Output), lab.UDP(9999), tt.after)
			r := addRule(t, chain(t, n, lab.IPv4, lab.Postrouting), lab.UDP(9999), tt.match)
			if !send(t, n, "udp", "127.0.0.1:9999", true) {
				t.Error("the packet did not arrive")
			}
			wantPackets(t, r, tt.packets)
		})
	}
}

func TestDNAT(t *testing.T) {
	for f, addr := range map[lab.Family]string{lab.IPv4: "127.0.0.1", lab.IPv6: "::1"} {
		t.Run(f.String(), func(t *testing.T) {
			n := newNet(t)
			nat, err := n.NAT(f, lab.Output)
			testkit.Must(t, err)
			to := netip.AddrPortFrom(netip.MustParseAddr(addr), 8888)
			addRule(t, nat, lab.UDP(9999), lab.DNAT(to))
			pc, err := n.ListenPacket("udp", to.String())
			testkit.Must(t, err)
			defer pc.Close()
			c, err := n.Dial("udp", netip.AddrPortFrom(to.Addr(), 9999).String())
			testkit.Must(t, err)
			defer c.Close()
			if !deliver(t, c, pc, true) {
				t.Error("the packet did not arrive where it was sent instead")
			}
		})
	}
}

func TestMasquerade(t *testing.T) {
	a, b := newNet(t), newNet(t)
	testkit.Must(t, a.Veth("eth0", b, "eth0"))
	testkit.Must(t, a.Up("eth0"))
	testkit.Must(t, b.Up("eth0"))
	for n, prefixes := range map[*lab.Net][]string{a: {"192.0.2.1/24", "198.51.100.7/32"}, b: {"192.0.2.2/24"}} {
		for _, p := range prefixes {
			testkit.Must(t, n.AddAddr("eth0", netip.MustParsePrefix(p)))
		}
	}
	nat, err := a.NAT(lab.IPv4, lab.Postrouting)
	testkit.Must(t, err)
	addRule(t, nat, lab.Masquerade())
	pc, err := b.ListenPacket("udp", "192.0.2.2:9999")
	testkit.Must(t, err)
	defer pc.Close()
	from, err := a.ListenPacket("udp", "198.51.100.7:5555")
	testkit.Must(t, err)
	defer from.Close()
	c, err := a.Dial("udp", "192.0.2.2:9999")
	testkit.Must(t, err)
	defer c.Close()
	_, err = from.WriteTo([]byte("lab"), c.RemoteAddr())
	testkit.Must(t, err)
	if _, sender, err := pc.ReadFrom(make([]byte, 16)); err != nil || sender.String() != "192.0.2.1:5555" {
		t.Errorf("it came from %v, %v", sender, err)
	}
}

// A helper that no kernel has is an error, and a label that nothing has is too.
func TestObjectsOfRulesCanBeMissing(t *testing.T) {
	n := newNet(t)
	if _, err := n.Helper(lab.IPv4, "no such thing", unix.IPPROTO_TCP); err == nil {
		t.Error("a helper that does not exist was added")
	}
	if _, err := n.SecMark(lab.IPv4, "no such label"); err == nil {
		t.Error("a label that does not exist was added")
	}
}
