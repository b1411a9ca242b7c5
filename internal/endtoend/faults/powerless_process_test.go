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
