//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// NewNet returns a network namespace, which ends with the test.
func NewNet(t testing.TB) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// AddRule adds a base chain at a hook, and a rule to it.
func AddRule(t testing.TB, n *lab.Net, f lab.Family, h lab.Hook, terms ...lab.Term) *lab.Rule {
	t.Helper()
	c, err := n.Chain(f, h, 0)
	testkit.Must(t, err)
	r, err := c.Add(terms...)
	testkit.Must(t, err)
	return r
}

// AddRules adds a base chain at a hook, with rules in this order.
func AddRules(t testing.TB, n *lab.Net, f lab.Family, h lab.Hook, priority int, rules ...[]lab.Term) {
	t.Helper()
	c, err := n.Chain(f, h, priority)
	testkit.Must(t, err)
	for _, terms := range rules {
		_, err := c.Add(terms...)
		testkit.Must(t, err)
	}
}

// WantPackets fails the test unless a rule has counted that many packets.
func WantPackets(t testing.TB, r *lab.Rule, want uint64) {
	t.Helper()
	if got := Packets(t, r); got != want {
		t.Errorf("the rule counted %d packets, want %d", got, want)
	}
}

// Packets returns how many packets a rule has counted.
func Packets(t testing.TB, r *lab.Rule) uint64 {
	t.Helper()
	n, err := r.Packets()
	testkit.Must(t, err)
	return n
}

// NetPair connects two namespaces, and returns addresses of each.
func NetPair(t testing.TB, v IPVersion) (a, b *lab.Net, addrA, addrB netip.Addr) {
	t.Helper()
	a, b = NewNet(t), NewNet(t)
	testkit.Must(t, a.Veth("eth0", b, "eth0"))
	testkit.Must(t, a.Up("eth0"))
	testkit.Must(t, b.Up("eth0"))
	prefixes := []string{"192.0.2.1/24", "192.0.2.2/24"}
	if v.Family == lab.IPv6 {
		prefixes = []string{"2001:db8::1/64", "2001:db8::2/64"}
	}
	pa, pb := netip.MustParsePrefix(prefixes[0]), netip.MustParsePrefix(prefixes[1])
	testkit.Must(t, a.AddAddr("eth0", pa))
	testkit.Must(t, b.AddAddr("eth0", pb))
	return a, b, pa.Addr(), pb.Addr()
}

// HardwareAddr returns the address of eth0.
func HardwareAddr(t *testing.T, n *lab.Net) (a net.HardwareAddr) {
	t.Helper()
	testkit.Must(t, n.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			a = i.HardwareAddr
		}
		return err
	}))
	return a
}

// BridgedNets returns two hosts and the namespace with the bridge between them. Its
// ports are port0, to a, and port1, to b.
func BridgedNets(t testing.TB) (a, bridge, b *lab.Net) {
	t.Helper()
	a, bridge, b = NewNet(t), NewNet(t), NewNet(t)
	testkit.Must(t, bridge.Bridge("br0"))
	testkit.Must(t, bridge.Up("br0"))
	for i, host := range []*lab.Net{a, b} {
		port := []string{"port0", "port1"}[i]
		testkit.Must(t, bridge.Veth(port, host, "eth0"))
		testkit.Must(t, bridge.SetMaster(port, "br0"))
		testkit.Must(t, bridge.Up(port))
		testkit.Must(t, host.Up("eth0"))
	}
	return a, bridge, b
}

// ProcNet returns a file of /proc/net, as the namespace sees it.
func ProcNet(n *lab.Net, name string) (b []byte, err error) {
	err = n.Do(func() error {
		b, err = os.ReadFile("/proc/thread-self/net/" + name)
		return err
	})
	return b, err
}

// SkipUnsupported skips the test if the kernel lacks what it is about.
func SkipUnsupported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	testkit.Must(t, err)
}

// EitherPort returns the index of the bridge's port that a packet uses: physical, or
// device on a kernel without CONFIG_BRIDGE_NETFILTER.
func EitherPort(physical, device int) int {
	if physical != 0 {
		return physical
	}
	return device
}

// CountMark adds a rule that counts the UDP packets to port 9999 that come from the
// queues of the hook input with a mark.
func CountMark(t *testing.T, n *lab.Net, mark uint32) *lab.Rule {
	t.Helper()
	later, err := n.Chain(lab.IPv4, lab.Input, 10)
	testkit.Must(t, err)
	r, err := later.Add(lab.UDP(9999), lab.Mark(mark))
	testkit.Must(t, err)
	return r
}

// AwaitMore waits until a rule has counted n packets more.
func AwaitMore(t *testing.T, r *lab.Rule, n uint64) {
	t.Helper()
	before := Packets(t, r)
	testkit.Await(t, fmt.Sprintf("%d packets more", n), func() bool { return Packets(t, r) >= before+n })
}
