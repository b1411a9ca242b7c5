//go:build linux

package faults

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A program without a single capability is refused what needs one, and nothing
// else. SECURITY.md has the same list.
func TestPrivilegeOfEachCall(t *testing.T) {
	n := endtoend.NewNet(t)
	binder, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer binder.Close()
	for _, group := range []uint16{0, 3} {
		bind, err := nflog.Config{Threshold: 1}.Bind(group)
		testkit.Must(t, err)
		testkit.Must(t, binder.Request(bind))
	}
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(3, "", 0, 1))
	endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address()) // somebody has to listen
	h := startPowerless(t, n, "powerless", endtoend.DupDescriptor(t, binder))
	for _, want := range []string{
		"nfnl.Dial: ok",
		"nfnl.Config.NetNS: permission",
		"nfqueue.Open: permission",
		"nflog.Open: permission",
		"Reader.Receive: ok",
		"Reader.Packets: ok",
		"Reader.Stats: ok",
		"Reader.Granted: ok",
		"Reader.SetReadDeadline: ok",
		"Reader.Links: ok",
		"Reader.Configure: permission",
		"Reader.SetNamespaceLogger: permission",
		"Reader.Shutdown: ok",
		"Reader.Close: ok",
	} {
		if got := h.NextLine(t); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A queue that was opened with the privilege decides nothing without it. The
// kernel's refusal comes with the next Receive, and the packets wait on.
func TestVerdictsNeedThePrivilegeEachTime(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	hold, tickets := endtoend.HoldAll()
	stop := endtoend.RunQueue(t, l.Queue, hold)
	endtoend.Send(t, l.From, "1", "2", "3")
	held := endtoend.AwaitHeld(t, l.Queue, tickets, 3)
	stop()
	endtoend.Send(t, l.From, "4", "5")
	_, listed := endtoend.KernelStats(t, l.Queue)
	other := endtoend.OpenQueue(t, l.Net, nfqueue.Config{Queue: 9})
	testkit.Must(t, endtoend.WithoutCapabilities(t, func() error {
		b := l.Queue.NewBatch()
		if err := l.Queue.Receive(b); err != nil || len(b.Packets) != 2 {
			t.Errorf("Receive: %v, %d packets", err, len(b.Packets))
		}
		for _, c := range []struct {
			name string
			call func() error
		}{
			{"Send", func() error { return l.Queue.Send(b) }},
			{"Ticket.SetVerdict", func() error { return held[0].SetVerdict(nfqueue.Accept()) }},
			{"Queue.SetVerdict", func() error { return l.Queue.SetVerdict(held[1].ID(), nfqueue.Accept()) }},
			{"SetVerdictUpTo", func() error { return l.Queue.SetVerdictUpTo(held[2].ID(), nfqueue.Accept()) }},
		} {
			if err := c.call(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			testkit.WantError(t, "TryReceive after "+c.name, l.Queue.TryReceive(b), os.ErrPermission)
		}
		testkit.WantError(t, "Configure", l.Queue.Configure(nfqueue.Config{MaxLen: 1}), os.ErrPermission)
		testkit.WantError(t, "SetVerdictAll", l.Queue.SetVerdictAll(nfqueue.Accept()), os.ErrPermission)
		if s := l.Queue.Stats(); s.Packets != 5 || l.Queue.Granted().ReadBuffer == 0 {
			t.Errorf("stats %+v", s)
		}
		if g := l.Queue.Granted(); g.MaxLen == 0 || g.CopyRange == 0 {
			t.Errorf("granted %+v", g)
		}
		testkit.Must(t, l.Queue.SetReadDeadline(time.Unix(1, 0)))
		testkit.WantError(t, "Receive after its deadline", l.Queue.Receive(b), os.ErrDeadlineExceeded)
		testkit.Must(t, l.Queue.SetReadDeadline(time.Time{}))
		testkit.Must(t, other.Close())
		if k, err := l.Queue.KernelStats(); listed && (err != nil || k.Waiting != 5) {
			t.Errorf("KernelStats: %v, %d packets wait, want all 5", err, k.Waiting)
		}
		return nil
	}))
	testkit.Must(t, l.Queue.SetVerdictUpTo(2, nfqueue.Accept())) // with the privilege
	testkit.Must(t, l.Queue.SetVerdictAll(nfqueue.Accept()))
	endtoend.WantReceived(t, l.To, "1", "2", "3", "4", "5")
	endtoend.OpenQueue(t, l.Net, nfqueue.Config{Queue: 9}) // unbound by Close
}

// What leads into another network namespace takes CAP_SYS_ADMIN, and to find out
// which one a socket is in takes CAP_NET_ADMIN: the error names the one that is
// missing.
func TestOtherNetworkNamespacesNeedCapabilities(t *testing.T) {
	const ok, netAdmin, sysAdmin = "permission false: <nil>", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"
	n, other := endtoend.NewNet(t), endtoend.NewNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: other.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	ns, err := unix.FcntlInt(uintptr(other.FD()), unix.F_DUPFD_CLOEXEC, 0)
	testkit.Must(t, err)
	elsewhere := os.NewFile(uintptr(ns), "namespace")
	defer elsewhere.Close()
	for _, c := range []struct {
		has                    []uintptr
		netNS, links, openProc string
	}{
		{[]uintptr{unix.CAP_NET_ADMIN}, sysAdmin, sysAdmin, sysAdmin},
		{[]uintptr{unix.CAP_SYS_ADMIN}, ok, netAdmin, netAdmin},
		{[]uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}, ok, ok, ok},
	} {
		h := startWith(t, n, c.has, "elsewhere", elsewhere, endtoend.DupDescriptor(t, conn))
		for i, want := range []string{c.netNS, c.links, c.openProc} {
			got := h.NextLine(t)
			if want == ok && got != ok || want != ok && (!strings.HasPrefix(got, "permission true: ") || !strings.Contains(got, want)) {
				t.Errorf("with capabilities %v, call %d: %s, want %s", c.has, i, got, want)
			}
		}
	}
}

// Reading a log needs nothing once it is open, of all a process may have had.
func TestLogIsReadWithoutAnyCapability(t *testing.T) {
	const packets = 100
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 10})
	endtoend.SendNumbers(t, l.From, 0, packets)
	all := endtoend.NextLoggedWithoutCapabilities(t, l.Reader, packets)
	endtoend.IPv4.WantNumbers(t, all, 0, packets)
	if s := l.Reader.Stats(); s.Packets != packets || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}
