//go:build linux

package endtoend

import (
	"context"
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

// OpenLog opens log groups in n; the reader is closed with the test.
func OpenLog(t testing.TB, n *lab.Net, cfg nflog.Config) *nflog.Reader {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	r, err := nflog.Open(cfg)
	testkit.Must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// A LoggedUDP is a UDP sender on the loopback device of a namespace of its own, and
// the reader of the group that a rule there logs its datagrams to.
type LoggedUDP struct {
	Net    *lab.Net
	Reader *nflog.Reader
	From   net.Conn
}

// NewLoggedUDP returns one with a rule at the hook that logs to the first group
// of cfg, or to group 5 if it has none. At the hook output a packet has been
// logged when Send returns.
func NewLoggedUDP(t testing.TB, v IPVersion, h lab.Hook, cfg nflog.Config) *LoggedUDP {
	t.Helper()
	if cfg.Groups == nil {
		cfg.Groups = []uint16{5}
	}
	l := &LoggedUDP{Net: NewNet(t)}
	l.Reader = OpenLog(t, l.Net, cfg)
	AddRule(t, l.Net, v.Family, h, lab.UDP(9999), lab.Log(cfg.Groups[0], "", 0, 0))
	_, l.From = UDPPair(t, l.Net, "udp", v.Address())
	return l
}

// NextLogged returns the next n packets that r yields.
func NextLogged(t testing.TB, r *nflog.Reader, n int) (all []*nflog.Packet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	for p, err := range r.Packets(ctx) {
		testkit.Must(t, err)
		if all = append(all, p.Clone()); len(all) == n {
			break
		}
	}
	return all
}

// NextLoggedWithoutCapabilities is NextLogged on a thread without capabilities.
func NextLoggedWithoutCapabilities(t *testing.T, r *nflog.Reader, n int) (all []*nflog.Packet) {
	t.Helper()
	testkit.Must(t, WithoutCapabilities(t, func() error {
		all = NextLogged(t, r, n)
		return nil
	}))
	return all
}
