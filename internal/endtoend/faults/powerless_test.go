//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// startPowerless starts a helper in the namespace that has no capability, and
// cannot get any.
func startPowerless(t *testing.T, n *lab.Net, role string, files ...*os.File) *endtoend.Process {
	t.Helper()
	return startWith(t, n, nil, role, files...)
}

// startWith is startPowerless, but for some capabilities.
func startWith(t *testing.T, n *lab.Net, caps []uintptr, role string, files ...*os.File) *endtoend.Process {
	t.Helper()
	started := make(chan *endtoend.Process, 1)
	go func() {
		defer close(started)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := dropBoundingSet(caps); err != nil {
			t.Error("drop the bounding set:", err)
			return
		}
		h, err := endtoend.StartProcess(t, n, role, nil, files...)
		if err != nil {
			t.Error(err)
			return
		}
		started <- h
	}()
	h := testkit.Next(t, started)
	if h == nil {
		t.FailNow()
	}
	return h
}

// dropBoundingSet takes from the calling thread what a program that it starts
// could have of capabilities, but for some. Its own stay as they are.
func dropBoundingSet(keep []uintptr) error {
	for c := uintptr(0); ; c++ {
		if slices.Contains(keep, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && c > 0 {
			return nil // there are no more
		}
		if err != nil {
			return err
		}
	}
}

// useWithoutPrivilege makes calls with no capability, the log at descriptor 3,
// and tells what came of each: ok, permission, or the error.
func useWithoutPrivilege() error {
	here, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return err
	}
	r, err := adoptLog(os.NewFile(3, "log"))
	if err != nil {
		return err
	}
	defer r.Close()
	from, err := net.Dial("udp", endtoend.IPv4.Address())
	if err != nil {
		return err
	}
	tell := func(name string, call func() error) {
		err := call()
		switch {
		case err == nil:
			fmt.Println(name + ": ok")
		case errors.Is(err, os.ErrPermission):
			fmt.Println(name + ": permission")
		default:
			fmt.Println(name+":", err)
		}
	}
	tell("nfnl.Dial", func() error {
		c, err := nfnl.Dial(nfnl.Config{})
		if err == nil {
			err = c.Close()
		}
		return err
	})
	tell("nfnl.Config.NetNS", func() error {
		_, err := nfnl.Dial(nfnl.Config{NetNS: int(here.Fd())})
		return err
	})
	tell("nfqueue.Open", func() error { _, err := nfqueue.Open(nfqueue.Config{Queue: 4}); return err })
	tell("nflog.Open", func() error { _, err := nflog.Open(nflog.Config{Groups: []uint16{4}}); return err })
	tell("Reader.Receive", func() error {
		if _, err := from.Write([]byte("x")); err != nil {
			return err
		}
		return r.Receive(r.NewBatch())
	})
	tell("Reader.Packets", func() error {
		if _, err := from.Write([]byte("x")); err != nil {
			return err
		}
		for _, err := range r.Packets(context.Background()) {
			return err // that of the first packet, nil
		}
		return nil
	})
	tell("Reader.Stats", func() error {
		if s := r.Stats(); s.Packets != 2 || r.Granted().ReadBuffer == 0 || r.GroupStats(3).Packets != 2 {
			return fmt.Errorf("stats %+v", s)
		}
		return nil
	})
	tell("Reader.Granted", func() error {
		if g, c := r.Granted(), r.Config(); len(c.Groups) != 2 || g.CopyRange == 0 {
			return fmt.Errorf("granted %+v", g)
		}
		return nil
	})
	tell("Reader.SetReadDeadline", func() error {
		if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return err
		}
		if err := r.Receive(r.NewBatch()); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("Receive: %w", err)
		}
		return nil
	})
	tell("Reader.Links", func() error {
		l, err := r.Links()
		if err == nil {
			err = l.Close()
		}
		return err
	})
	tell("Reader.Configure", func() error { return r.Configure(nflog.Config{Groups: []uint16{0, 3}, CopyRange: 9}) })
	tell("Reader.SetNamespaceLogger", func() error { return r.SetNamespaceLogger(nfnl.IPv4) })
	tell("Reader.Shutdown", func() error { return endtoend.Shutdown(r) })
	tell("Reader.Close", r.Close)
	return nil
}

// adoptLog reads group 3 from a socket that somebody else has bound.
func adoptLog(f *os.File) (*nflog.Reader, error) {
	conn, err := nfnl.FileConn(f)
	if err != nil {
		return nil, err
	}
	return nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{0, 3}}, nil)
}

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
	endtoend.OpenQueue(t, l.Net, nfqueue.Config{Queue: 9}) // given back by Close
}

// enterElsewhere uses the network namespace at descriptor 3, and a socket in it at
// descriptor 4, and tells what came of it, in a line each.
func enterElsewhere() error {
	conn, err := engine.FileConn(os.NewFile(4, "socket"))
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, call := range []func() (io.Closer, error){
		func() (io.Closer, error) { return nfnl.Dial(nfnl.Config{NetNS: 3}) },
		func() (io.Closer, error) { return conn.Links() },
		func() (io.Closer, error) { return conn.OpenProc("dev") },
	} {
		c, err := call()
		if err == nil {
			err = c.Close()
		}
		fmt.Printf("permission %v: %v\n", errors.Is(err, os.ErrPermission), err)
	}
	return nil
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
