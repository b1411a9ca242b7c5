package nflog_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

func TestCloseEndsTheLoop(t *testing.T) {
	bubble(t, "while waiting", func(t *testing.T) {
		r, _ := open(t, nflog.Config{})
		ended := testkit.Background(func() error {
			_, err := all(t.Context(), r)
			return err
		})
		synctest.Wait()
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("in the body", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(packets("ab")...)
		var got string
		var last error
		for p, err := range r.Packets(t.Context()) {
			if last = err; err == nil {
				got += string(p.Payload)
				r.Close()
			}
		}
		if got != "a" || !errors.Is(last, net.ErrClosed) {
			t.Errorf("got %q and %v", got, last)
		}
		if s, err := all(t.Context(), r); s != "" || !errors.Is(err, net.ErrClosed) {
			t.Errorf("then %q and %v", s, err)
		}
		wantStats(t, r, 2, 0, 0)
		if n := r.Stats().Discarded; n != 1 {
			t.Errorf("%d packets discarded, want the one that was not yielded", n)
		}
	})
	t.Run("in the body, by another goroutine", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(packets("ab")...)
		k.Log(packets("cd")...)
		var got string
		var last error
		for p, err := range r.Packets(t.Context()) {
			if last = err; err == nil {
				got += string(p.Payload)
				testkit.Next(t, testkit.Background(r.Close))
			}
		}
		if got != "a" || !errors.Is(last, net.ErrClosed) {
			t.Errorf("got %q and %v", got, last)
		}
	})
	t.Run("in OnError", func(t *testing.T) {
		var r *nflog.Reader
		opened, k := open(t, nflog.Config{OnError: func(error) { r.Close() }})
		r = opened
		k.Log(packets("a")...)
		k.Lose(5, 1)
		k.Log(packets("bc")...)
		if s, err := all(t.Context(), r); s != "" || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %q and %v", s, err)
		}
	})
	t.Run("in a body that is left", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(packets("ab")...)
		for range r.Packets(t.Context()) {
			r.Close()
			break
		}
		if s, err := all(t.Context(), r); s != "" || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %q and %v", s, err)
		}
	})
	t.Run("before it begins", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(packets("ab")...)
		next(t, r, 1)
		r.Close()
		if s, err := all(t.Context(), r); s != "" || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %q and %v", s, err)
		}
	})
	t.Run("which is cancelled too", func(t *testing.T) {
		var o testkit.Errors
		r, _ := open(t, nflog.Config{OnError: o.Add})
		ctx, cancel := context.WithCancelCause(t.Context())
		r.Close()
		cancel(errCause)
		if s, err := all(ctx, r); s != "" || err != errCause {
			t.Errorf("got %q and %v", s, err)
		}
		if errs := o.Take(); errs != nil {
			t.Errorf("OnError was called with %v", errs)
		}
	})
}

func TestDeadlineEndsTheLoopAndLosesNothing(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("abc")...)
	next(t, r, 1)
	r.SetReadDeadline(time.Now().Add(-time.Second))
	if s, err := all(t.Context(), r); s != "bc" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q and %v", s, err)
	}
	if !k.Bound(5) {
		t.Error("unbound")
	}
	k.Log(packets("d")...)
	r.SetReadDeadline(time.Time{})
	if s := next(t, r, 1); s != "d" {
		t.Errorf("then %q", s)
	}
}
