package nfqueue_test

import (
	"errors"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestWrongConfigureChangesNothing(t *testing.T) {
	q, k := open(t, nfqueue.Config{CopyRange: 100})
	r := record(k)
	for says, cfg := range wrong {
		cfg.Queue = 7
		if err := q.Configure(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one with %q", err, says)
		}
	}
	if err := q.Configure(nfqueue.Config{Queue: 8}); err == nil || !strings.Contains(err.Error(), "Config.Queue is 8") {
		t.Errorf("another queue: got %v", err)
	}
	if sent := r.take(); len(sent) > 0 {
		t.Errorf("the kernel was sent %x", sent)
	}
	if g, c := q.Granted(), q.Config(); g.CopyRange != 100 || c.CopyRange != 100 || c.Queue != 7 {
		t.Errorf("granted is %+v", g)
	}
}

func TestConfigureThatTheKernelRefusesChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(m nfnl.Message) error
		is     error
		says   string
	}{
		"no privilege": {func(nfnl.Message) error { return syscall.EPERM }, os.ErrPermission, "CAP_NET_ADMIN"},
		"unknown flag": {func(nfnl.Message) error { return syscall.EOPNOTSUPP }, errors.ErrUnsupported, "Config.Conntrack"},
		"no queue":     {func(nfnl.Message) error { return syscall.ENODEV }, syscall.ENODEV, "nfqueue 7"},
		"no memory":    {func(nfnl.Message) error { return syscall.ENOMEM }, syscall.ENOMEM, "nfqueue 7"},
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{CopyRange: 28, Fallback: fallback, OnError: reported.Add})
			k.Refuse(c.refuse)
			err := q.Configure(nfqueue.Config{Queue: 7, Conntrack: true})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "nfqueue 7") {
				t.Errorf("got %v", err)
			}
			k.Refuse(nil)
			if g, c := q.Granted(), q.Config(); g.CopyRange != 28 || g.Conntrack || c.CopyRange != 28 || c.Conntrack {
				t.Errorf("granted is %+v", g)
			}
			start(t, q, always(nfqueue.Accept().WithRawPayload(nil)))
			wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
			reported.Next(t, nfqueue.ErrPayload)
		})
	}
}

func TestConfigureAfterCloseIsErrClosed(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	q.Close()
	if err := q.Configure(nfqueue.Config{Queue: 7}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// The socket stays what it is, and who wants another is told so.
func TestConfigureCannotChangeTheSocket(t *testing.T) {
	opened := nfnl.Config{NetNS: 3, ReadBuffer: 12345} // which OpenConn makes no use of
	q, k := open(t, nfqueue.Config{Socket: opened})
	r := record(k)
	for says, socket := range map[string]nfnl.Config{
		"Config.Socket.NetNS is 4":           {NetNS: 4},
		"Config.Socket.ReadBuffer is 123456": {ReadBuffer: 123456},
		"Config.Socket.Tap is set":           {Tap: func(bool, []byte) {}},
	} {
		if err := q.Configure(nfqueue.Config{Queue: 7, Socket: socket, CopyRange: 9}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	if sent := r.take(); len(sent) > 0 {
		t.Errorf("the kernel was sent %x", sent)
	}
	for _, socket := range []nfnl.Config{{}, opened, {NetNS: 3}, q.Config().Socket} {
		if err := q.Configure(nfqueue.Config{Queue: 7, Socket: socket}); err != nil {
			t.Errorf("%+v: %v", socket, err)
		}
		if after := q.Config().Socket; !reflect.DeepEqual(after, opened) {
			t.Errorf("the socket became %+v, was %+v", after, opened)
		}
	}
}
