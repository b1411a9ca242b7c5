//go:build linux

package endtoend

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A QueuedUDP is a pair of UDP sockets on the loopback device of a namespace of
// their own, and the queue that a rule there hands the datagrams to.
type QueuedUDP struct {
	Net   *lab.Net
	Queue *nfqueue.Queue
	Rule  *lab.Rule
	From  net.Conn
	To    net.PacketConn
}

// NewQueuedUDP returns one with a rule at the hook for the queue of cfg. At the
// hook output a sender blocks when too many of its packets wait.
func NewQueuedUDP(t testing.TB, v IPVersion, h lab.Hook, cfg nfqueue.Config) *QueuedUDP {
	t.Helper()
	l := &QueuedUDP{Net: NewNet(t)}
	l.Queue = OpenQueue(t, l.Net, cfg)
	l.Rule = AddRule(t, l.Net, v.Family, h, lab.UDP(9999), lab.Queue(cfg.Queue))
	l.To, l.From = UDPPair(t, l.Net, "udp", v.Address())
	return l
}
