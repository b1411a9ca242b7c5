//go:build linux

package faults

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A namespace whose name and last process are gone lives on for the sockets of
// a queue and a log, which work as before. It ends with them.
func TestRemovedNamespaceLivesUntilClose(t *testing.T) {
	a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.AddRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 1), lab.Queue(7))
	q := endtoend.OpenQueue(t, b, nfqueue.Config{Queue: 7})
	r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9999))
	from, err := a.ListenPacket("udp", ":0") // not connected: nobody listens over there
	testkit.Must(t, err)
	defer from.Close()
	ids := make(chan uint32, 2)
	stop := endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		ids <- p.ID
		return nfqueue.Accept()
	})

	testkit.Must(t, b.Close()) // nothing but our sockets holds it now
	for i := range 2 {
		_, err := from.WriteTo([]byte("x"), to)
		testkit.Must(t, err)
		if id := testkit.Next(t, ids); id != uint32(i+1) {
			t.Errorf("packet %d has ID %d", i, id)
		}
	}
	if n := len(endtoend.NextLogged(t, r, 2)); n != 2 {
		t.Errorf("%d packets logged", n)
	}
	testkit.Must(t, q.Configure(nfqueue.Config{Queue: 7, CopyRange: 100}))
	testkit.WantError(t, "Run", stop(), context.Canceled)
	testkit.Must(t, q.Close())
	testkit.Must(t, r.Close())
	testkit.Await(t, "the namespace is removed, and with it the other end of our device", func() bool {
		_, err := a.Index("eth0")
		return err != nil
	})
}
