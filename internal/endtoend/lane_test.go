//go:build linux

package endtoend

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// An ipVersion is what tests need to know of it.
type ipVersion struct {
	name    string
	family  lab.Family
	packets nfnl.Family
	host    string // the loopback address
	headers int    // length of the IP and UDP headers
}

var (
	ipv4       = ipVersion{"IPv4", lab.IPv4, nfnl.IPv4, "127.0.0.1", 28}
	ipv6       = ipVersion{"IPv6", lab.IPv6, nfnl.IPv6, "::1", 48}
	ipVersions = []ipVersion{ipv4, ipv6}
)

// address is where the receivers of tests listen.
func (v ipVersion) address() string { return net.JoinHostPort(v.host, "9999") }

// eachVersion runs f as a subtest for IPv4 and for IPv6.
func eachVersion(t *testing.T, f func(t *testing.T, v ipVersion)) {
	for _, v := range ipVersions {
		t.Run(v.name, func(t *testing.T) { f(t, v) })
	}
}

// A lane is a way for datagrams over the loopback device of a new namespace,
// past a rule that queues them.
type lane struct {
	net   *lab.Net
	queue *nfqueue.Queue
	rule  *lab.Rule
	from  net.Conn
	to    net.PacketConn
}

// newLane makes a lane with a rule at the hook for the queue of cfg. At the hook
// output a sender blocks when too many of its packets wait.
func newLane(t testing.TB, v ipVersion, h lab.Hook, cfg nfqueue.Config) *lane {
	t.Helper()
	l := &lane{net: newNet(t)}
	l.queue = openQueue(t, l.net, cfg)
	l.rule = addRule(t, l.net, v.family, h, lab.UDP(9999), lab.Queue(cfg.Queue))
	l.to, l.from = udpPair(t, l.net, "udp", v.address())
	return l
}
