//go:build linux

package queue

import (
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// What leaves a namespace by an ipvlan device in the mode l3s passes output there
// and on the host: with a rule in both, a packet is queued and changed twice. What
// comes in passes input on the host alone.
func TestIPVLANPassesOutputTwice(t *testing.T) {
	endtoend.NeedRewriting(t)
	far, host, inside := endtoend.NewNet(t), endtoend.NewNet(t), endtoend.NewNet(t)
	testkit.Must(t, far.Veth("eth0", host, "eth0"))
	for n, address := range map[*lab.Net]string{far: "192.0.2.1/24", host: "192.0.2.2/24"} {
		testkit.Must(t, n.AddAddr("eth0", netip.MustParsePrefix(address)))
		testkit.Must(t, n.Up("eth0"))
	}
	endtoend.SkipUnsupported(t, host.IPVLAN("ipvl0", "eth0", inside))
	testkit.Must(t, inside.AddAddr("ipvl0", netip.MustParsePrefix("192.0.3.2/23"))) // the route to far
	testkit.Must(t, inside.Up("ipvl0"))
	testkit.Must(t, far.AddRoute(netip.MustParsePrefix("192.0.3.0/24"), netip.MustParseAddr("192.0.2.2")))

	for _, n := range []*lab.Net{host, inside} {
		q := endtoend.OpenQueue(t, n, nfqueue.Config{})
		for _, h := range []lab.Hook{lab.Input, lab.Output} {
			endtoend.AddRule(t, n, lab.IPv4, h, lab.L4(unix.IPPROTO_UDP), lab.Queue(0))
		}
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithPayload(append(p.Payload, '!'))
		})
	}
	to, from := endtoend.UDPAcross(t, inside, far, "192.0.2.1:9999")
	endtoend.Send(t, from, "out")
	endtoend.WantReceived(t, to, "out!!")
	to, from = endtoend.UDPAcross(t, far, inside, "192.0.3.2:9999")
	endtoend.Send(t, from, "in")
	endtoend.WantReceived(t, to, "in!")
}
