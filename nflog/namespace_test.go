package nflog_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestNamespaceLogger(t *testing.T) {
	r, k := open(t, nflog.Config{Groups: []uint16{5, 0}})
	var sent []byte
	k.Refuse(func(m nfnl.Message) error {
		sent = append(sent, byte(m.Family), command(m))
		return nil
	})
	if err := r.SetNamespaceLogger(nfnl.IPv6); err != nil || !k.Logger(nfnl.IPv6) || k.Logger(nfnl.IPv4) {
		t.Errorf("%v; logger of ip6 %v, of ip %v", err, k.Logger(nfnl.IPv6), k.Logger(nfnl.IPv4))
	}
	if err := r.ClearNamespaceLogger(nfnl.IPv6); err != nil || k.Logger(nfnl.IPv6) {
		t.Errorf("%v; logger of ip6 %v", err, k.Logger(nfnl.IPv6))
	}
	if want := "\x0a\x03\x0a\x04"; string(sent) != want {
		t.Errorf("families and commands % x, want % x", sent, want)
	}
	if !k.Bound(5) || !k.Bound(0) {
		t.Error("a group was unbound")
	}
}

func TestNamespaceLoggerNeedsGroup0(t *testing.T) {
	r, k := open(t, nflog.Config{})
	if err := r.SetNamespaceLogger(nfnl.IPv4); err == nil || !strings.Contains(err.Error(), "group 0") || k.Logger(nfnl.IPv4) {
		t.Errorf("error %v, logger %v", err, k.Logger(nfnl.IPv4))
	}
	if err := r.ClearNamespaceLogger(nfnl.IPv4); err != nil {
		t.Error(err)
	}
}

func TestNamespaceLoggerExplainsRefusals(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		text  string
	}{
		{syscall.EINVAL, "family ip"},
		{syscall.ENOENT, "family ip"},
		{syscall.EPERM, "CAP_NET_ADMIN"},
	} {
		r, k := open(t, nflog.Config{Groups: []uint16{0}})
		k.Refuse(func(nfnl.Message) error { return c.errno })
		if err := r.SetNamespaceLogger(nfnl.IPv4); !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.text) || errors.Is(err, nflog.ErrTaken) {
			t.Errorf("error %v", err)
		}
		if err := r.ClearNamespaceLogger(nfnl.IPv4); !errors.Is(err, c.errno) || errors.Is(err, os.ErrNotExist) != (c.errno == syscall.ENOENT) {
			t.Errorf("error %v", err)
		}
	}
}
