//go:build linux

package queue

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestAcceptedPacketArrives(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{Queue: 7})
		families := make(chan nfnl.Family, 1)
		endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			families <- p.Family
			return nfqueue.Accept()
		})
		endtoend.Send(t, l.From, "hello")
		endtoend.WantReceived(t, l.To, "hello")
		if got := <-families; got != v.PacketFamily {
			t.Errorf("family %v, want %v", got, v.PacketFamily)
		}
	})
}
