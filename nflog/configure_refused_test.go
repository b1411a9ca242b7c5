package nflog_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestConfigureRefusesWrongFieldsByName(t *testing.T) {
	groups := []uint16{5, 6}
	r, k := open(t, nflog.Config{Groups: groups, CopyRange: 2})
	k.Refuse(func(nfnl.Message) error {
		t.Error("the kernel was asked")
		return nil
	})
	for _, c := range []struct {
		field string
		cfg   nflog.Config
	}{
		{"Groups", nflog.Config{}},
		{"Groups", nflog.Config{Groups: []uint16{5}}},
		{"Groups", nflog.Config{Groups: []uint16{5, 7}}},
		{"Groups", nflog.Config{Groups: []uint16{5, 6, 7}}},
		{"CopyRange", nflog.Config{Groups: groups, CopyRange: 1, MetadataOnly: true}},
		{"FlushTimeout", nflog.Config{Groups: groups, FlushTimeout: -1}},
		{"BufferSize", nflog.Config{Groups: groups, BufferSize: 100}},
		{"BufferSize", nflog.Config{Groups: groups, BufferSize: 131073}},
		{"Conntrack", nflog.Config{Groups: groups, Flags: 4}},
		{"Batch", nflog.Config{Groups: groups, Batch: 257}},
		{"Socket.NetNS", nflog.Config{Groups: groups, Socket: nfnl.Config{NetNS: 4}}},
		{"Socket.ReadBuffer", nflog.Config{Groups: groups, Socket: nfnl.Config{ReadBuffer: 12345}}},
	} {
		if err := r.Configure(c.cfg); err == nil || !strings.Contains(err.Error(), "Config."+c.field) && c.field != "Conntrack" {
			t.Errorf("%+v: error %v, want one about %s", c.cfg, err, c.field)
		}
	}
	k.Refuse(nil)
	if err := r.Configure(nflog.Config{Groups: []uint16{6, 5}, Socket: r.Config().Socket}); err != nil { // in any order
		t.Error(err)
	}
}

func TestAfterAnErrorOfConfigureAllIsAsItWas(t *testing.T) {
	groups := []uint16{5, 6, 7}
	r, k := open(t, nflog.Config{Groups: groups, CopyRange: 2})
	refused := false
	k.Refuse(func(m nfnl.Message) error {
		if m.Resource == 7 && !refused {
			refused = true
			return syscall.ENOBUFS
		}
		return nil
	})
	err := r.Configure(nflog.Config{Groups: groups, CopyRange: 1, Conntrack: true})
	if !errors.Is(err, syscall.ENOBUFS) || !strings.Contains(err.Error(), "group 7") {
		t.Errorf("error %v, want one about group 7", err)
	}
	if g := r.Granted(); g.CopyRange != 2 || g.Conntrack {
		t.Errorf("granted %+v", g)
	}
	for _, g := range groups {
		k.Log(nflog.Packet{Group: g, Payload: []byte("abc")})
	}
	if s := next(t, r, 6); s != "ababab" {
		t.Errorf("got %q", s)
	}
}

func TestConfigureExplainsRefusals(t *testing.T) {
	cfg := nflog.Config{Groups: []uint16{5}, Conntrack: true}
	r, k := open(t, nflog.Config{})
	withoutConntrack(k)
	if err := r.Configure(cfg); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "Config.Conntrack") {
		t.Errorf("error %v", err)
	}
	cfg.BestEffort = true
	if err := r.Configure(cfg); err != nil || r.Granted().Conntrack {
		t.Errorf("%v, granted %+v", err, r.Granted())
	}
	k.Refuse(func(nfnl.Message) error { return syscall.EPERM })
	if err := r.Configure(cfg); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v", err)
	}
	r.Close()
	if err := r.Configure(cfg); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
