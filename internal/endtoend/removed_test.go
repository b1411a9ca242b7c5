//go:build linux

package endtoend

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A namespace whose name and last process are gone lives on for the sockets of
// a queue and a log, which work as before. It ends with them.
func TestRemovedNamespaceLivesUntilClose(t *testing.T) {
	a, b, _, addr := wire(t, ipv4)
	addRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 1), lab.Queue(7))
	q := openQueue(t, b, nfqueue.Config{Queue: 7})
	r := openLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9999))
	from, err := a.ListenPacket("udp", ":0") // not connected: nobody listens over there
	must(t, err)
	defer from.Close()
	ids := make(chan uint32, 2)
	stop := runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		ids <- p.ID
		return nfqueue.Accept()
	})

	must(t, b.Close()) // nothing but our sockets holds it now
	for i := range 2 {
		_, err := from.WriteTo([]byte("x"), to)
		must(t, err)
		if id := next(t, ids); id != uint32(i+1) {
			t.Errorf("packet %d has ID %d", i, id)
		}
	}
	if n := len(logged(t, r, 2)); n != 2 {
		t.Errorf("%d packets logged", n)
	}
	must(t, q.Configure(nfqueue.Config{Queue: 7, CopyRange: 100}))
	wantError(t, "Run", stop(), context.Canceled)
	must(t, q.Close())
	must(t, r.Close())
	await(t, "the namespace is removed, and with it the other end of our device", func() bool {
		_, err := a.Index("eth0")
		return err != nil
	})
}
