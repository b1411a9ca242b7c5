package nflog_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
)

func TestZeroReaderIsClosed(t *testing.T) {
	t.Run("zero", func(t *testing.T) { wantClosed(t, new(nflog.Reader)) })
	t.Run("nil", func(t *testing.T) { wantClosed(t, nil) })
}

// wantClosed fails the test unless everything says that r is closed.
func wantClosed(t *testing.T, r *nflog.Reader) {
	t.Helper()
	last := func(ctx context.Context) (err error) {
		for _, err = range r.Packets(ctx) {
		}
		return err
	}
	for name, call := range map[string]func() error{
		"Packets":         func() error { return last(context.Background()) },
		"Receive":         func() error { return r.Receive(r.NewBatch()) },
		"TryReceive":      func() error { return r.TryReceive(r.NewBatch()) },
		"KernelStats":     func() error { _, err := r.KernelStats(); return err },
		"Links":           func() error { _, err := r.Links(); return err },
		"SyscallConn":     func() error { _, err := r.SyscallConn(); return err },
		"SetReadDeadline": func() error { return r.SetReadDeadline(time.Now()) },
	} {
		if err := call(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := last(ctx); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := r.Configure(nflog.Config{Groups: []uint16{5}}); err == nil {
		t.Error("Configure: no error")
	}
	if err := errors.Join(r.SetNamespaceLogger(2), r.ClearNamespaceLogger(2)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("loggers: %v", err)
	}
	if s := r.Stats(); s != (nflog.Stats{}) {
		t.Errorf("stats %+v", s)
	}
	if s := r.GroupStats(0); s != (nflog.GroupStats{}) {
		t.Errorf("stats of a group %+v", s)
	}
	var nilContext context.Context
	if err := last(nilContext); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("nil context: %v", err)
	}
	if g, c := r.Granted(), r.Config(); g != (nflog.Granted{}) || c.Groups != nil {
		t.Errorf("granted %+v, Config %+v", g, c)
	}
	for range 2 {
		if err := r.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestZeroBatchIsOfNoReader(t *testing.T) {
	r, _ := open(t, nflog.Config{})
	for kind, b := range map[string]*nflog.Batch{"zero": new(nflog.Batch), "nil": nil} {
		for name, err := range map[string]error{"Receive": r.Receive(b), "TryReceive": r.TryReceive(b)} {
			if err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
}
