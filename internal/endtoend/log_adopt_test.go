//go:build linux

package endtoend

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// handOver returns a copy of the descriptor of a connection.
func handOver(t *testing.T, conn *nfnl.Conn) *os.File {
	t.Helper()
	raw, err := conn.SyscallConn()
	must(t, err)
	var fd int
	must(t, raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }))
	must(t, err)
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { f.Close() })
	return f
}

// withoutCapabilities calls f on a thread that has given up all capabilities,
// and throws that thread away.
func withoutCapabilities(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		err := unix.Capset(&header, &none[0])
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return next(t, done)
}

// TestReadingAGroupThatAnotherHasBound is a reader without any privilege: the
// socket comes from somebody who had it.
func TestReadingAGroupThatAnotherHasBound(t *testing.T) {
	n := newNet(t)
	binder, err := nfnl.Dial(nfnl.Config{NetNS: n.FD(), ReadBuffer: 1 << 20})
	must(t, err)
	bind, err := nflog.Config{Threshold: 3, BufferSize: 131072}.Bind(5)
	must(t, err)
	must(t, binder.Request(bind))
	f := handOver(t, binder)
	must(t, binder.Close())

	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	_, from := udpPair(t, n, "udp", ipv4.address())
	l := &logLane{net: n, from: from}
	l.send(t, 0, 3)
	var told collector
	must(t, withoutCapabilities(t, func() error {
		conn, err := nfnl.FileConn(f)
		if err != nil {
			return err
		}
		cfg := nflog.Config{Groups: []uint16{5}, OnError: told.add}
		if _, err := nflog.OpenConn(conn, cfg); !errors.Is(err, os.ErrPermission) {
			t.Errorf("OpenConn without Adopt: %v, want os.ErrPermission", err)
		}
		cfg.Adopt = true
		l.reader, err = nflog.OpenConn(conn, cfg)
		return err
	}))
	defer l.reader.Close()
	ipv4.wantNumbers(t, loggedWithoutCapabilities(t, l.reader, 3), 0, 3)

	err = withoutCapabilities(t, func() error { return l.reader.Configure(nflog.Config{Groups: []uint16{5}, CopyRange: 1}) })
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("Configure: %v, want os.ErrPermission that names the capability", err)
	}

	// A loop that is cancelled yields what is there, and leaves the group bound.
	l.send(t, 3, 3)
	var all []*nflog.Packet
	err = withoutCapabilities(t, func() (err error) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		all, err = collectUntil(ctx, l.reader)
		return err
	})
	wantError(t, "loop", err, context.Canceled)
	ipv4.wantNumbers(t, all, 3, 3)
	l.send(t, 6, 3)
	all = loggedWithoutCapabilities(t, l.reader, 3)
	ipv4.wantNumbers(t, all, 6, 3)
	if all[0].Seq != 6 {
		t.Errorf("number %d, want 6", all[0].Seq)
	}
	if s := l.reader.Stats(); s.Lost != 0 || s.Malformed != 0 || len(told.errs) != 0 {
		t.Errorf("stats %+v, OnError was told %v", s, told.errs)
	}
}

// loggedWithoutCapabilities is logged on a thread without any.
func loggedWithoutCapabilities(t *testing.T, r *nflog.Reader, n int) (all []*nflog.Packet) {
	t.Helper()
	must(t, withoutCapabilities(t, func() error {
		all = logged(t, r, n)
		return nil
	}))
	return all
}

// TestAdoptedGroupsAreNeverUnbound has the privilege to do so.
func TestAdoptedGroupsAreNeverUnbound(t *testing.T) {
	n := newNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	for _, g := range []uint16{5, 6} {
		bind, err := nflog.Config{Threshold: 1}.Bind(g)
		must(t, err)
		must(t, conn.Request(bind))
	}
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}, Adopt: true})
	must(t, err)
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = collectUntil(ctx, r)
	wantError(t, "loop", err, context.Canceled)
	if got := logGroups(t, n); !strings.HasPrefix(got, "5 ") || !strings.Contains(got, ", 6 ") {
		t.Errorf("groups %q", got)
	}
	must(t, r.Configure(nflog.Config{Groups: []uint16{5, 6}, CopyRange: 77}))
	if got := logGroups(t, n); got != "5 2 77 1, 6 2 77 1" {
		t.Errorf("groups %q", got)
	}
}
