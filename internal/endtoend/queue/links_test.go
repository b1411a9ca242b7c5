//go:build linux

package queue

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The devices of packets have names, in the namespace in which they are, though
// the program is in another one; and new names when they are given some.
func TestDevicesOfPacketsHaveNames(t *testing.T) {
	a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: b.FD()})
	testkit.Must(t, err)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 5})
	testkit.Must(t, err)
	defer q.Close()
	links, err := conn.Links()
	testkit.Must(t, err)
	defer links.Close()
	r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}})
	endtoend.AddRule(t, b, lab.IPv4, lab.Prerouting, lab.UDP(9999), lab.Log(5, "", 0, 0), lab.Queue(5))
	to, err := b.ListenPacket("udp", net.JoinHostPort(addr.String(), "9999"))
	testkit.Must(t, err)
	defer to.Close()
	from, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
	testkit.Must(t, err)
	defer from.Close()
	devices := make(chan int, 2)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		devices <- p.InDev
		return nfqueue.Accept()
	})
	endtoend.Send(t, from, "x")
	endtoend.WantReceived(t, to, "x")
	in := testkit.Next(t, devices)
	if got := links.Name(in); got != "eth0" {
		t.Errorf("a packet came in by %q, device %d", got, in)
	}
	if p := endtoend.NextLogged(t, r, 1)[0]; links.Name(p.InDev) != "eth0" || links.Name(p.OutDev) != "" {
		t.Errorf("logged in by %q, out by %q", links.Name(p.InDev), links.Name(p.OutDev))
	}
	testkit.Must(t, b.Down("eth0")) // kernels before 6.2 want that
	testkit.Must(t, b.Rename("eth0", "uplink"))
	testkit.Await(t, "the new name", func() bool { return links.Name(in) == "uplink" })
	testkit.Must(t, b.DelLink("uplink"))
	testkit.Must(t, b.Veth("next", a, "peer"))
	nextIn, err := b.Index("next")
	testkit.Must(t, err)
	testkit.Await(t, "the name of the next device", func() bool { return links.Name(nextIn) == "next" })
	if got := links.Name(in); got != "uplink" {
		t.Errorf("a device that is deleted is called %q: packets of it may be on their way", got)
	}
}
