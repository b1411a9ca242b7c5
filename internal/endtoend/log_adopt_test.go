//go:build linux

package endtoend

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// handOver returns a copy of the descriptor of a connection.
func handOver(t *testing.T, conn syscall.Conn) *os.File {
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
			t.Errorf("OpenConn: %v, want os.ErrPermission", err)
		}
		l.reader, err = nflog.AdoptConn(conn, cfg, nil)
		return err
	}))
	defer l.reader.Close()
	ipv4.wantNumbers(t, loggedWithoutCapabilities(t, l.reader, 3), 0, 3)

	err = withoutCapabilities(t, func() error { return l.reader.Configure(nflog.Config{Groups: []uint16{5}, CopyRange: 1}) })
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("Configure: %v, want os.ErrPermission that names the capability", err)
	}

	// A loop that is cancelled leaves what is there to the next.
	l.send(t, 3, 3)
	err = withoutCapabilities(t, func() error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := collectUntil(ctx, l.reader)
		return err
	})
	wantError(t, "loop", err, context.Canceled)
	l.send(t, 6, 3)
	all := loggedWithoutCapabilities(t, l.reader, 6)
	ipv4.wantNumbers(t, all, 3, 6)
	if all[3].Seq != 6 {
		t.Errorf("number %d, want 6", all[3].Seq)
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

// TestAdoptedGroupsAreNeverUnbound has the privilege to do so, and another who has
// the socket.
func TestAdoptedGroupsAreNeverUnbound(t *testing.T) {
	n := newNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	for _, g := range []uint16{5, 6} {
		bind, err := nflog.Config{Threshold: 1}.Bind(g)
		must(t, err)
		must(t, conn.Request(bind))
	}
	handOver(t, conn)
	r, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5, 6}}, nil)
	must(t, err)
	must(t, r.Configure(nflog.Config{Groups: []uint16{5, 6}, CopyRange: 77}))
	must(t, shutdown(r))
	if got := logGroups(t, n); got != "5 2 77 1, 6 2 77 1" {
		t.Errorf("groups %q", got)
	}
}

// TestReaderTakesOverFromAKilledOne keeps the socket while its Readers come and
// go. The first has received packets that it has not recorded: Close stands for
// SIGKILL.
func TestReaderTakesOverFromAKilledOne(t *testing.T) {
	const sent, recorded = 100, 35
	n := newNet(t)
	binder, err := nfnl.Dial(nfnl.Config{NetNS: n.FD(), ReadBuffer: 1 << 20})
	must(t, err)
	defer binder.Close()
	bind, err := nflog.Config{Threshold: 10}.Bind(5)
	must(t, err)
	must(t, binder.Request(bind))
	socket := handOver(t, binder)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	_, from := udpPair(t, n, "udp", ipv4.address())
	l := &logLane{net: n, from: from}
	adopt := func(told *collector, last map[uint16]uint32) *nflog.Reader {
		conn, err := nfnl.FileConn(socket)
		must(t, err)
		r, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5}, OnError: told.add}, last)
		must(t, err)
		t.Cleanup(func() { r.Close() })
		return r
	}

	l.send(t, 0, sent)
	var told collector
	first := adopt(&told, nil)
	seen := logged(t, first, recorded)
	must(t, first.Close())
	discarded := first.Stats().Discarded

	l.send(t, sent, 10)
	position := map[uint16]uint32{5: seen[recorded-1].Seq}
	second := adopt(&told, position)
	rest := logged(t, second, sent+10-recorded-int(discarded))
	if got := rest[len(rest)-1].Seq; got != sent+9 {
		t.Errorf("the last packet has number %d", got)
	}
	if s := second.GroupStats(5); s.Lost != discarded || discarded == 0 {
		t.Errorf("stats %+v, and the first discarded %d", s, discarded)
	}
	var lost *nfnl.OverrunError
	if errs := told.errs; len(errs) != 1 || !errors.As(errs[0], &lost) || lost.Group != 5 || lost.Lost != discarded {
		t.Errorf("OnError was told %v", errs)
	}
}
