//go:build linux

package log

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// TestReadingAGroupThatAnotherHasBound is a reader without any privilege: the
// socket comes from somebody who had it.
func TestReadingAGroupThatAnotherHasBound(t *testing.T) {
	n := endtoend.NewNet(t)
	binder, err := nfnl.Dial(nfnl.Config{NetNS: n.FD(), ReadBuffer: 1 << 20})
	testkit.Must(t, err)
	bind, err := nflog.Config{Threshold: 3, BufferSize: 131072}.Bind(5)
	testkit.Must(t, err)
	testkit.Must(t, binder.Request(bind))
	f := endtoend.DupDescriptor(t, binder)
	testkit.Must(t, binder.Close())

	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	l := &endtoend.LoggedUDP{Net: n, From: from}
	endtoend.SendNumbers(t, l.From, 0, 3)
	var reported testkit.Errors
	testkit.Must(t, endtoend.WithoutCapabilities(t, func() error {
		conn, err := nfnl.FileConn(f)
		if err != nil {
			return err
		}
		cfg := nflog.Config{Groups: []uint16{5}, OnError: reported.Add}
		if _, err := nflog.OpenConn(conn, cfg); !errors.Is(err, os.ErrPermission) {
			t.Errorf("OpenConn: %v, want os.ErrPermission", err)
		}
		l.Reader, err = nflog.AdoptConn(conn, cfg, nil)
		return err
	}))
	defer l.Reader.Close()
	endtoend.IPv4.WantNumbers(t, endtoend.NextLoggedWithoutCapabilities(t, l.Reader, 3), 0, 3)

	err = endtoend.WithoutCapabilities(t, func() error { return l.Reader.Configure(nflog.Config{Groups: []uint16{5}, CopyRange: 1}) })
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("Configure: %v, want os.ErrPermission that names the capability", err)
	}

	// A loop that is cancelled leaves what is there to the next.
	endtoend.SendNumbers(t, l.From, 3, 3)
	err = endtoend.WithoutCapabilities(t, func() error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := collectUntil(ctx, l.Reader)
		return err
	})
	testkit.WantError(t, "loop", err, context.Canceled)
	endtoend.SendNumbers(t, l.From, 6, 3)
	all := endtoend.NextLoggedWithoutCapabilities(t, l.Reader, 6)
	endtoend.IPv4.WantNumbers(t, all, 3, 6)
	if all[3].Seq != 6 {
		t.Errorf("number %d, want 6", all[3].Seq)
	}
	if s := l.Reader.Stats(); s.Lost != 0 || s.Malformed != 0 || len(reported.All()) != 0 {
		t.Errorf("stats %+v, OnError was called with %v", s, reported.All())
	}
}

// TestAdoptedGroupsAreNeverUnbound has the privilege to do so, and another who has
// the socket.
func TestAdoptedGroupsAreNeverUnbound(t *testing.T) {
	n := endtoend.NewNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	for _, g := range []uint16{5, 6} {
		bind, err := nflog.Config{Threshold: 1}.Bind(g)
		testkit.Must(t, err)
		testkit.Must(t, conn.Request(bind))
	}
	endtoend.DupDescriptor(t, conn)
	r, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5, 6}}, nil)
	testkit.Must(t, err)
	testkit.Must(t, r.Configure(nflog.Config{Groups: []uint16{5, 6}, CopyRange: 77}))
	testkit.Must(t, endtoend.Shutdown(r))
	if got := logGroups(t, n); got != "5 2 77 1, 6 2 77 1" {
		t.Errorf("groups %q", got)
	}
}

// TestReaderTakesOverFromAKilledOne keeps the socket while its Readers come and
// go. The first has received packets that it has not recorded: Close stands for
// SIGKILL.
func TestReaderTakesOverFromAKilledOne(t *testing.T) {
	const sent, recorded = 100, 35
	n := endtoend.NewNet(t)
	binder, err := nfnl.Dial(nfnl.Config{NetNS: n.FD(), ReadBuffer: 1 << 20})
	testkit.Must(t, err)
	defer binder.Close()
	bind, err := nflog.Config{Threshold: 10}.Bind(5)
	testkit.Must(t, err)
	testkit.Must(t, binder.Request(bind))
	socket := endtoend.DupDescriptor(t, binder)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	l := &endtoend.LoggedUDP{Net: n, From: from}
	adopt := func(reported *testkit.Errors, last map[uint16]uint32) *nflog.Reader {
		conn, err := nfnl.FileConn(socket)
		testkit.Must(t, err)
		r, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5}, OnError: reported.Add}, last)
		testkit.Must(t, err)
		t.Cleanup(func() { r.Close() })
		return r
	}

	endtoend.SendNumbers(t, l.From, 0, sent)
	var reported testkit.Errors
	first := adopt(&reported, nil)
	seen := endtoend.NextLogged(t, first, recorded)
	testkit.Must(t, first.Close())
	discarded := first.Stats().Discarded

	endtoend.SendNumbers(t, l.From, sent, 10)
	position := map[uint16]uint32{5: seen[recorded-1].Seq}
	second := adopt(&reported, position)
	rest := endtoend.NextLogged(t, second, sent+10-recorded-int(discarded))
	if got := rest[len(rest)-1].Seq; got != sent+9 {
		t.Errorf("the last packet has number %d", got)
	}
	if s := second.GroupStats(5); s.Lost != discarded || discarded == 0 {
		t.Errorf("stats %+v, and the first discarded %d", s, discarded)
	}
	var lost *nfnl.OverrunError
	if errs := reported.All(); len(errs) != 1 || !errors.As(errs[0], &lost) || lost.Group != 5 || lost.Lost != discarded {
		t.Errorf("OnError was called with %v", errs)
	}
}
