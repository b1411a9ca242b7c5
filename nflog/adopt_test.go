package nflog_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// handedOver returns a connection with groups 5 and 6, whose kernel does nothing
// more for it.
func handedOver(t *testing.T) (*nfnl.Conn, *nflogtest.Kernel) {
	t.Helper()
	conn, k := nflogtest.New(t)
	for _, g := range []uint16{5, 6} {
		m, err := nflog.Config{}.Bind(g)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Request(m); err != nil {
			t.Fatal(err)
		}
	}
	k.Refuse(func(m nfnl.Message) error { return syscall.EPERM })
	return conn, k
}

// adopt returns a Reader of such a connection.
func adopt(t *testing.T, cfg nflog.Config) (*nflog.Reader, *nflogtest.Kernel) {
	t.Helper()
	conn, k := handedOver(t)
	cfg.Groups, cfg.Adopt = []uint16{5, 6}, true
	r, err := nflog.OpenConn(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, k
}

func TestAdoptAsksNothingOfTheKernel(t *testing.T) {
	var o told
	conn, k := handedOver(t)
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("without Adopt: error %v", err)
	}
	k.Refuse(func(m nfnl.Message) error {
		t.Errorf("the kernel was asked: %+v", m)
		return nil
	})
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}, Adopt: true, CopyRange: 1, OnError: o.onError})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k.Lose(5, 1000)
	k.Log(packets("a")...)
	k.Log(nflog.Packet{Group: 6, Payload: []byte("bc")}) // as it was set up, not as Config says
	if s := next(t, r, 3); s != "abc" {
		t.Errorf("got %q", s)
	}
	if errs := o.take(); errs != nil {
		t.Errorf("the first number was judged: %v", errs)
	}
	k.Lose(5, 7)
	k.Log(packets("d")...)
	next(t, r, 1)
	wantStats(t, r, 3, 7, 0)
}

func TestCancelledLoopOfAnAdoptedGroup(t *testing.T) {
	var o told
	r, k := adopt(t, nflog.Config{OnError: o.onError})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	for range 2 {
		k.Log(packets("ab")...)
		k.Log(packets("c")...)
		if s, err := all(ctx, r); s != "abc" || err != errCause {
			t.Errorf("got %q and %v", s, err)
		}
		if !k.Bound(5) || !k.Bound(6) {
			t.Error("a group was unbound")
		}
	}
	if errs := o.take(); errs != nil {
		t.Errorf("OnError was told %v", errs)
	}
}

// TestCancelledLoopThatCannotUnbindEnds has packets that come as fast as they
// are yielded.
func TestCancelledLoopThatCannotUnbindEnds(t *testing.T) {
	r, k := adopt(t, nflog.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	k.Log(packets("a")...)
	got := ""
	for p, err := range r.Packets(ctx) {
		if err != nil {
			break
		}
		if got += string(p.Payload); len(got) > 10 {
			t.Fatal("there is no end")
		}
		k.Log(packets("b")...)
	}
	if got != "a" {
		t.Errorf("got %q", got)
	}
}

func TestConfigureOfAnAdoptedGroup(t *testing.T) {
	r, k := adopt(t, nflog.Config{})
	cfg := nflog.Config{Groups: []uint16{5, 6}, CopyRange: 1}
	if err := r.Configure(cfg); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v", err)
	}
	k.Log(packets("a")...)
	if s := next(t, r, 1); s != "a" {
		t.Errorf("got %q", s)
	}

	k.Refuse(nil) // the privilege is back
	if err := r.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	if !r.Granted().Adopt {
		t.Error("Configure forgot that the groups are adopted")
	}
	k.Log(nflog.Packet{Payload: []byte("bc")})
	if s := next(t, r, 1); s != "b" {
		t.Errorf("got %q", s)
	}
}

func TestAdoptTakesTheLongestDatagrams(t *testing.T) {
	r, k := adopt(t, nflog.Config{})
	k.Deliver(message(packetHeader(), tlv(12, 0, 0, 0, 0), tlv(99, make([]byte, 65000)...), tlv(99, make([]byte, 65000)...),
		tlv(99, make([]byte, 65000)...), tlv(9, make([]byte, 65000)...)).Append(nil))
	receive(t, r, r.NewBatch())
	wantStats(t, r, 1, 0, 0)
}

func TestOpenAdoptsNothing(t *testing.T) {
	if _, err := nflog.Open(nflog.Config{Groups: []uint16{5}, Adopt: true}); err == nil || !strings.Contains(err.Error(), "Config.Adopt") {
		t.Errorf("error %v", err)
	}
}
