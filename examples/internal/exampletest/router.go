//go:build linux

package exampletest

import (
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// Router returns three hosts in a row, the middle one of which forwards packets:
//
//	client ---- lan [router] wan ---- server
//
// The addresses are of one family, each with the length of its network.
func Router(t *testing.T, clientAddr, lan, wan, serverAddr string) (client, router, server *lab.Net) {
	t.Helper()
	client, router, server = Net(t), Net(t), Net(t)
	connect(t, client, clientAddr, router, "lan", lan)
	connect(t, server, serverAddr, router, "wan", wan)
	testkit.Must(t, client.AddRoute(netip.MustParsePrefix(serverAddr).Masked(), netip.MustParsePrefix(lan).Addr()))
	testkit.Must(t, server.AddRoute(netip.MustParsePrefix(clientAddr).Masked(), netip.MustParsePrefix(wan).Addr()))
	testkit.Must(t, router.Forwarding(true))
	return client, router, server
}

// connect connects the eth0 of a host with a device of the router.
func connect(t *testing.T, host *lab.Net, hostAddr string, router *lab.Net, device, addr string) {
	t.Helper()
	testkit.Must(t, host.Veth("eth0", router, device))
	testkit.Must(t, host.Up("eth0"))
	testkit.Must(t, router.Up(device))
	testkit.Must(t, host.AddAddr("eth0", netip.MustParsePrefix(hostAddr)))
	a := netip.MustParsePrefix(addr)
	testkit.Must(t, router.AddAddr(device, a))
	if a.Addr().Is6() { // from which a router asks for its neighbours
		testkit.Must(t, router.AddAddr(device, netip.MustParsePrefix("fe80::1/64")))
	}
}
