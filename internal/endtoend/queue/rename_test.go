//go:build linux

package queue

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A device that gets another name keeps its index, and packets that came in by
// it go on waiting. Rules that name the device no longer see it.
func TestRenamedDeviceLosesNothing(t *testing.T) {
	a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	byName := endtoend.AddRule(t, b, lab.IPv4, lab.Prerouting, lab.In("eth0"), lab.UDP(9999))
	endtoend.AddRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 1), lab.Queue(7))
	r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	q := endtoend.OpenQueue(t, b, nfqueue.Config{Queue: 7})
	pc, err := b.ListenPacket("udp", netip.AddrPortFrom(addr, 9999).String())
	testkit.Must(t, err)
	defer pc.Close()
	from, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
	testkit.Must(t, err)
	defer from.Close()
	index, err := b.Index("eth0")
	testkit.Must(t, err)

	hold, tickets := endtoend.HoldAll()
	endtoend.RunQueue(t, q, hold)
	endtoend.Send(t, from, "before")
	held := endtoend.AwaitHeld(t, q, tickets, 1)[0]
	kept := renameDevice(t, b, "eth0", "wan0")
	testkit.Must(t, held.SetVerdict(nfqueue.Accept()))
	if kept {
		endtoend.WantReceived(t, pc, "before")
	} else {
		testkit.Await(t, "the packet is gone", func() bool { return q.Stats().Gone == 1 })
	}

	endtoend.Send(t, from, "after")
	testkit.Must(t, endtoend.AwaitHeld(t, q, tickets, 1)[0].SetVerdict(nfqueue.Accept()))
	endtoend.WantReceived(t, pc, "after")
	records := endtoend.NextLogged(t, r, 2)
	if records[0].InDev != index || records[1].InDev != index {
		t.Errorf("logged by devices %d and %d, want %d", records[0].InDev, records[1].InDev, index)
	}
	endtoend.WantPackets(t, byName, 1)
	if s, l := q.Stats(), r.Stats(); s.Packets != 2 || s.Lost+s.Refused != 0 || l.Packets != 2 || l.Lost != 0 {
		t.Errorf("stats of the queue %+v, of the log %+v", s, l)
	}
}

// renameDevice renames a device, and reports whether it stayed up: kernels
// before 6.2 rename only those that are down.
func renameDevice(t *testing.T, n *lab.Net, from, to string) (stayedUp bool) {
	t.Helper()
	err := n.Rename(from, to)
	if !errors.Is(err, syscall.EBUSY) {
		testkit.Must(t, err)
		return true
	}
	t.Logf("the device has to go down for it: %v", err)
	testkit.Must(t, n.Down(from))
	testkit.Must(t, n.Rename(from, to))
	testkit.Must(t, n.Up(to))
	return false
}
