//go:build linux

package lab_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

func device(t *testing.T, n *lab.Net, name string) (ifi *net.Interface) {
	t.Helper()
	testkit.Must(t, n.Do(func() (err error) {
		ifi, err = net.InterfaceByName(name)
		return err
	}))
	return ifi
}

// pair returns two namespaces joined by devices called eth0, with addresses
// 192.0.2.1 and 2, and 2001:db8::1 and 2.
func pair(t *testing.T) (a, b *lab.Net) {
	t.Helper()
	a, b = newNet(t), newNet(t)
	testkit.Must(t, a.Veth("eth0", b, "eth0"))
	for n, addrs := range map[*lab.Net][2]string{
		a: {"192.0.2.1/24", "2001:db8::1/64"},
		b: {"192.0.2.2/24", "2001:db8::2/64"},
	} {
		testkit.Must(t, n.Up("eth0"))
		for _, addr := range addrs {
			testkit.Must(t, n.AddAddr("eth0", netip.MustParsePrefix(addr)))
		}
	}
	return a, b
}

func TestVeth(t *testing.T) {
	a, b := pair(t)
	for _, address := range []string{"192.0.2.2:9999", "[2001:db8::2]:9999"} {
		pc, err := b.ListenPacket("udp", address)
		testkit.Must(t, err)
		defer pc.Close()
		c, err := a.Dial("udp", address)
		testkit.Must(t, err)
		defer c.Close()
		if !deliver(t, c, pc, true) {
			t.Error("not reached: ", address)
		}
	}
}

// A fresh pair must be silent, or rules count what the test did not send.
func TestVethIsQuiet(t *testing.T) {
	a, b := newNet(t), newNet(t)
	testkit.Must(t, a.Veth("eth0", b, "eth0"))
	in, err := b.DeviceChain("eth0", lab.Ingress, 0)
	testkit.Must(t, err)
	r := addRule(t, in)
	testkit.Must(t, a.Up("eth0"))
	testkit.Must(t, b.Up("eth0"))
	wantPackets(t, r, 0)
}

// An address can be listened on and sent to at once.
func TestAddressIsUsable(t *testing.T) {
	a, b := newNet(t), newNet(t)
	testkit.Must(t, a.Veth("eth0", b, "eth0"))
	testkit.Must(t, a.Up("eth0"))
	testkit.Must(t, b.Up("eth0"))
	for i := range 20 {
		for _, on := range []struct{ device, prefix string }{
			{"lo", "2001:db8:1::/128"}, {"eth0", "2001:db8:2::/64"}, {"lo", "198.51.100.0/24"}, {"eth0", "192.0.2.0/24"},
		} {
			p := netip.MustParsePrefix(on.prefix)
			raw := p.Addr().AsSlice()
			raw[len(raw)-1] = byte(i + 1)
			addr, _ := netip.AddrFromSlice(raw)
			testkit.Must(t, a.AddAddr(on.device, netip.PrefixFrom(addr, p.Bits())))
			to := netip.AddrPortFrom(addr, 9999).String()
			pc, err := a.ListenPacket("udp", to)
			testkit.Must(t, err)
			defer pc.Close()
			c, err := a.Dial("udp", to)
			testkit.Must(t, err)
			defer c.Close()
			if !deliver(t, c, pc, true) {
				t.Error("not reached: ", to)
			}
		}
	}
}

func TestForwarding(t *testing.T) {
	t.Run("all devices", func(t *testing.T) {
		testForwarding(t, func(router *lab.Net) error { return router.Forwarding(true) }, func(*lab.Net) error { return nil })
	})
	t.Run("a device", func(t *testing.T) {
		testForwarding(t, func(*lab.Net) error { return nil }, func(router *lab.Net) error { return router.Forward4("left") })
	})
}

// testForwarding calls the functions before and after the router has its devices.
func testForwarding(t *testing.T, before, after func(router *lab.Net) error) {
	left, right := newNet(t), newNet(t)
	router := newNet(t)
	testkit.Must(t, before(router))
	for i, n := range []*lab.Net{left, right} {
		side := []string{"left", "right"}[i]
		v4 := netip.AddrFrom4([4]byte{192, 0, 2, byte(i) << 7})
		testkit.Must(t, router.Veth(side, n, "eth0"))
		testkit.Must(t, router.Up(side))
		testkit.Must(t, n.Up("eth0"))
		gw := v4.Next()
		testkit.Must(t, router.AddAddr(side, netip.PrefixFrom(gw, 25)))
		testkit.Must(t, n.AddAddr("eth0", netip.PrefixFrom(gw.Next(), 25)))
		testkit.Must(t, n.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), gw))
	}
	testkit.Must(t, after(router))
	r := addRule(t, chain(t, router, lab.IPv4, lab.Forward), lab.In("left"), lab.Out("right"))

	pc, err := right.ListenPacket("udp", "192.0.2.130:9999")
	testkit.Must(t, err)
	defer pc.Close()
	c, err := left.Dial("udp", "192.0.2.130:9999")
	testkit.Must(t, err)
	defer c.Close()
	if !deliver(t, c, pc, true) {
		t.Error("not forwarded")
	}
	wantPackets(t, r, 1)
}

func TestLinkChanges(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Veth("a", n, "b"))

	testkit.Must(t, n.SetMTU("a", 9000))
	if got := device(t, n, "a").MTU; got != 9000 {
		t.Errorf("MTU %d, want 9000", got)
	}

	index, err := n.Index("a")
	testkit.Must(t, err)
	testkit.Must(t, n.Rename("a", "c"))
	if got := device(t, n, "c").Index; got != index {
		t.Errorf("index %d after Rename, want %d", got, index)
	}

	testkit.Must(t, n.Up("c"))
	if device(t, n, "c").Flags&net.FlagUp == 0 {
		t.Error("down after Up")
	}
	testkit.Must(t, n.Down("c"))
	if device(t, n, "c").Flags&net.FlagUp != 0 {
		t.Error("up after Down")
	}

	testkit.Must(t, n.DelLink("c"))
	for _, name := range []string{"c", "b"} {
		if _, err := n.Index(name); err == nil {
			t.Errorf("%s is there after DelLink", name)
		}
	}
}

func TestSetMasterAndBack(t *testing.T) {
	n := newNet(t)
	c, pc := bridged(t, n)
	if !deliver(t, c, pc, true) {
		t.Error("the bridge does not carry")
	}
	testkit.Must(t, n.SetMaster("port1", ""))
	if deliver(t, c, pc, false) {
		t.Error("the bridge carries without a port")
	}
}

func TestLinkErrorsSayWhatWasAttempted(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Bridge("br0"))
	for _, tt := range []struct {
		err  error
		want string
	}{
		{n.Bridge("br0"), "lab: make bridge br0: "},
		{n.SetMTU("br0", -1), "lab: set the MTU of br0 to -1: "},
		{n.Up("eth7"), "lab: bring eth7 up: no device eth7: "},
	} {
		if tt.err == nil || !strings.HasPrefix(tt.err.Error(), tt.want) {
			t.Errorf("got %v, want %s...", tt.err, tt.want)
		}
	}
	if err := n.Bridge("br0"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("%v does not wrap EEXIST", err)
	}
}
