// Package policy is a handler, and its tests show what the test kits can do: see
// docs/testing.md. They need no privileges, and no Linux.
package policy

import (
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Decide drops telnet, holds connections to port 443 until somebody has been asked,
// who has a second to answer, and accepts all else.
func Decide(p *nfqueue.Packet, ask func(nfqueue.Ticket)) nfqueue.Verdict {
	flow, ok := nfnl.ParseFlow(p.Payload)
	switch {
	case !ok, flow.Dst.Port() == 23:
		return nfqueue.Drop()
	case flow.Dst.Port() == 443:
		ask(p.Ticket())
		return nfqueue.HoldFor(time.Second, nfqueue.Drop())
	}
	return nfqueue.Accept()
}
