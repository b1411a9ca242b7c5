//go:build linux

package endtoend

import (
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// What leaves a namespace by an ipvlan device in the mode l3s passes output there
// and on the host: with a rule in both, a packet is queued and changed twice. What
// comes in passes input on the host alone.
func TestIPVLANPassesOutputTwice(t *testing.T) {
	needRewriting(t)
	far, host, inside := newNet(t), newNet(t), newNet(t)
	must(t, far.Veth("eth0", host, "eth0"))
	for n, address := range map[*lab.Net]string{far: "192.0.2.1/24", host: "192.0.2.2/24"} {
		must(t, n.AddAddr("eth0", netip.MustParsePrefix(address)))
		must(t, n.Up("eth0"))
	}
	skipUnsupported(t, host.IPVLAN("ipvl0", "eth0", inside))
	must(t, inside.AddAddr("ipvl0", netip.MustParsePrefix("192.0.3.2/23"))) // the route to far
	must(t, inside.Up("ipvl0"))
	must(t, far.AddRoute(netip.MustParsePrefix("192.0.3.0/24"), netip.MustParseAddr("192.0.2.2")))

	for _, n := range []*lab.Net{host, inside} {
		q := openQueue(t, n, nfqueue.Config{})
		for _, h := range []lab.Hook{lab.Input, lab.Output} {
			addRule(t, n, lab.IPv4, h, lab.L4(unix.IPPROTO_UDP), lab.Queue(0))
		}
		runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithPayload(append(p.Payload, '!'))
		})
	}
	to, from := udpAcross(t, inside, far, "192.0.2.1:9999")
	send(t, from, "out")
	wantReceived(t, to, "out!!")
	to, from = udpAcross(t, far, inside, "192.0.3.2:9999")
	send(t, from, "in")
	wantReceived(t, to, "in!")
}
