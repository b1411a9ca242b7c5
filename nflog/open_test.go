package nflog_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

const typeConfig = 0x0401 // NFULNL_MSG_CONFIG

// command returns the command in a configuration message, 0 if it has none.
func command(m nfnl.Message) uint8 {
	for d := attr.NewDecoder(m.Attrs); d.Next(); {
		if m.Type == typeConfig && d.Type() == 1 { // NFULA_CFG_CMD
			return d.Uint8()
		}
	}
	return 0
}

const bind, unbind = 1, 2

// takenByAnother makes the kernel refuse a group.
func takenByAnother(k *nflogtest.Kernel, group uint16) {
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == typeConfig && m.Resource == group {
			return syscall.EPERM
		}
		return nil
	})
}

func TestGroupOfAnotherSocketIsTaken(t *testing.T) {
	conn, k := nflogtest.New(t)
	takenByAnother(k, 6)
	_, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6, 7}})
	if !errors.Is(err, nflog.ErrTaken) || errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "group 6") {
		t.Errorf("error %v", err)
	}
	if k.Bound(5) || k.Bound(7) {
		t.Error("a group was left bound")
	}
}

func TestOpenWithoutPrivilegeIsNotTaken(t *testing.T) {
	conn, k := nflogtest.New(t)
	k.Refuse(func(nfnl.Message) error { return syscall.EPERM })
	_, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}})
	if errors.Is(err, nflog.ErrTaken) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v", err)
	}
}

func TestOpenExplainsRefusals(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		cfg   nflog.Config
		text  string
	}{
		{syscall.EOPNOTSUPP, nflog.Config{Flags: 0x8000}, "what Config.Flags asks for"},
		{syscall.EOPNOTSUPP, nflog.Config{Flags: 0x8000, Conntrack: true}, "what Config.Conntrack or Config.Flags asks for; see Config.BestEffort"},
		{syscall.EOPNOTSUPP, nflog.Config{Flags: 0x8000, Conntrack: true, BestEffort: true}, "what Config.Flags asks for"},
		{syscall.EINVAL, nflog.Config{}, "nfnetlink_log"},
	} {
		conn, k := nflogtest.New(t)
		k.Refuse(func(nfnl.Message) error { return c.errno })
		c.cfg.Groups = []uint16{5}
		_, err := nflog.OpenConn(conn, c.cfg)
		if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("error %v", err)
		}
	}
}

// TestOpenSendsWhatBindSays holds the public codec against what is sent.
func TestOpenSendsWhatBindSays(t *testing.T) {
	for _, cfg := range []nflog.Config{{}, {Threshold: 33, Conntrack: true}} {
		cfg.Groups = []uint16{5}
		want, err := cfg.Bind(5)
		if err != nil {
			t.Fatal(err)
		}
		conn, k := nflogtest.New(t)
		k.Refuse(func(m nfnl.Message) error {
			if !bytes.Equal(m.Attrs, want.Attrs) {
				t.Errorf("sent % x, want % x", m.Attrs, want.Attrs)
			}
			return nil
		})
		r, err := nflog.OpenConn(conn, cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}

func TestGroupsOfTheConnectionAreAdopted(t *testing.T) {
	conn, k := nflogtest.New(t)
	m, err := nflog.Config{}.Bind(5)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Request(m); err != nil {
		t.Fatal(err)
	}
	k.Lose(5, 1000)

	var o testkit.Errors
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}, CopyRange: 2, OnError: o.Add})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k.Log(nflog.Packet{Payload: []byte("abc")})
	if s := next(t, r, 2); s != "ab" {
		t.Errorf("got %q", s)
	}
	if errs := o.Take(); errs != nil {
		t.Errorf("the first number was judged: %v", errs)
	}
	k.Lose(5, 2)
	k.Log(packets("d")...)
	next(t, r, 1)
	wantStats(t, r, 2, 2, 0)
}

func TestConnectionIsOfOneReader(t *testing.T) {
	conn, k := nflogtest.New(t)
	takenByAnother(k, 5)
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}}); !errors.Is(err, nflog.ErrTaken) {
		t.Fatal(err)
	}
	k.Refuse(nil)
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}}) // what failed has no part in it
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, open := range []func(nflog.Config) error{
		func(cfg nflog.Config) error { _, err := nflog.OpenConn(conn, cfg); return err },
		func(cfg nflog.Config) error { _, err := nflog.AdoptConn(conn, cfg, nil); return err },
	} {
		err := open(nflog.Config{Groups: []uint16{6}})
		if err == nil || !strings.Contains(err.Error(), "group 6") || !strings.Contains(err.Error(), "a Conn of its own") || k.Bound(6) {
			t.Errorf("error %v, bound: %v", err, k.Bound(6))
		}
	}
}

func TestAdoptedGroupIsNotGivenBackWhenOpenFails(t *testing.T) {
	conn, k := nflogtest.New(t)
	m, _ := nflog.Config{}.Bind(5)
	if err := conn.Request(m); err != nil {
		t.Fatal(err)
	}
	takenByAnother(k, 7)
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6, 7}}); err == nil {
		t.Fatal("no error")
	}
	if !k.Bound(5) || k.Bound(6) {
		t.Errorf("bound: 5 %v, 6 %v", k.Bound(5), k.Bound(6))
	}
}

func TestLostAnswersAreNoFailure(t *testing.T) {
	conn, k := nflogtest.New(t)
	k.LoseAnswers(1)
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k.Log(packets("a")...)
	if s := next(t, r, 1); s != "a" {
		t.Errorf("got %q", s)
	}
	wantStats(t, r, 1, 0, 0)
}

func TestConfigStaysTheCallers(t *testing.T) {
	cfg := nflog.Config{Groups: []uint16{5, 6}}
	r, k := open(t, cfg)
	cfg.Groups[0], cfg.Groups[1] = 7, 8
	k.Log(nflog.Packet{Group: 6, Payload: []byte("a")})
	if s := next(t, r, 1); s != "a" {
		t.Errorf("got %q", s)
	}
	wantStats(t, r, 1, 0, 0)
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if k.Bound(5) || k.Bound(6) {
		t.Error("other groups were unbound than bound")
	}
}
