//go:build linux

package endtoend

import (
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// A Routed is two hosts, A and B, with a router between them. Its devices, as
// virtual ones do, neither segment packets nor compute checksums, so that GSO
// packets arrive whole.
type Routed struct{ A, Router, B *lab.Net }

// NewRouted connects three namespaces, for IPv4 and IPv6.
func NewRouted(t testing.TB) *Routed {
	t.Helper()
	r := &Routed{NewNet(t), NewNet(t), NewNet(t)}
	testkit.Must(t, r.Router.Forwarding(true))
	for _, end := range []struct {
		net                 *lab.Net
		port                string
		prefixes            [2]string
		far, gateway, gate6 string
	}{
		{r.A, "to-a", [2]string{"192.0.2.1/24", "2001:db8:a::1/64"}, "198.51.100.0/24", "192.0.2.254", "2001:db8:a::ff"},
		{r.B, "to-b", [2]string{"198.51.100.1/24", "2001:db8:b::1/64"}, "192.0.2.0/24", "198.51.100.254", "2001:db8:b::ff"},
	} {
		testkit.Must(t, end.net.Veth("eth0", r.Router, end.port))
		testkit.Must(t, r.Router.Up(end.port))
		testkit.Must(t, end.net.Up("eth0"))
		// Devices of the lab have no address that a router asks neighbours from.
		testkit.Must(t, r.Router.AddAddr(end.port, netip.MustParsePrefix("fe80::ff/64")))
		for i, gateway := range []string{end.gateway, end.gate6} {
			own := netip.MustParsePrefix(end.prefixes[i])
			gw := netip.MustParseAddr(gateway)
			testkit.Must(t, end.net.AddAddr("eth0", own))
			testkit.Must(t, r.Router.AddAddr(end.port, netip.PrefixFrom(gw, own.Bits())))
		}
		testkit.Must(t, end.net.AddRoute(netip.MustParsePrefix(end.far), netip.MustParseAddr(end.gateway)))
		testkit.Must(t, end.net.AddRoute(netip.MustParsePrefix("2001:db8::/32"), netip.MustParseAddr(end.gate6)))
	}
	return r
}

// Address is where the receiver in B listens.
func (r *Routed) Address(v IPVersion) string {
	if v.Family == lab.IPv6 {
		return "[2001:db8:b::1]:9999"
	}
	return "198.51.100.1:9999"
}

// At returns the namespace in which packets for B pass the hook.
func (r *Routed) At(h lab.Hook) *lab.Net {
	switch h {
	case lab.Output, lab.Postrouting:
		return r.A
	case lab.Forward:
		return r.Router
	}
	return r.B
}

// Sizes of the GSO packets of UDPGSOPair, in bytes and in segments.
const (
	GSOSize     = 1200
	GSOSegments = 12
)

// UDPGSOPair returns a receiver in B and a sender in A, whose writes the kernel
// cuts into datagrams as late as it can.
func UDPGSOPair(t *testing.T, r *Routed, v IPVersion) (net.PacketConn, net.Conn) {
	t.Helper()
	pc, c := UDPAcross(t, r.A, r.B, r.Address(v))
	SetUDPSegment(t, c)
	return pc, c
}

// SetUDPSegment makes the kernel cut what c writes into datagrams, as late as it can.
func SetUDPSegment(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, GSOSize)
	}))
	testkit.Must(t, err)
}
