package nflog_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Without the privilege to unbind, what was collected comes by itself.
func TestShutdownWithoutPrivilege(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o testkit.Errors
		r, k := open(t, nflog.Config{OnError: o.Add})
		k.Refuse(func(nfnl.Message) error { return syscall.EPERM })
		k.Collect(packets("a")...)
		var got string
		ended := testkit.Background(func() (err error) {
			got, err = all(t.Context(), r)
			return err
		})
		synctest.Wait()
		down := shutdown(t, r)
		k.Flush(5) // as the kernel does after Config.FlushTimeout
		if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) || got != "a" {
			t.Errorf("got %q and %v", got, err)
		}
		if err := testkit.Next(t, down); err != nil {
			t.Error(err)
		}
		if errs := o.Take(); errs != nil {
			t.Errorf("OnError was called with %v", errs)
		}
	})
}

func TestShutdownReportsWhyUnbindingFailed(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Refuse(func(m nfnl.Message) error {
		if command(m) == unbind {
			return syscall.ENOBUFS
		}
		return nil
	})
	if err := r.Shutdown(t.Context()); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("error %v", err)
	}
	if err := r.Receive(r.NewBatch()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("then %v", err)
	}
}

func TestShutdownWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(packets("a")...)
		k.Collect(packets("b")...)
		k.LoseAnswers(1)
		var got string
		ended := testkit.Background(func() (err error) {
			got, err = all(t.Context(), r)
			return err
		})
		synctest.Wait()
		if err := testkit.Next(t, shutdown(t, r)); err != nil {
			t.Error(err)
		}
		if err := testkit.Next(t, ended); got != "ab" || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %q and %v", got, err)
		}
		wantStats(t, r, 2, 0, 0)
	})
}

// The kernel's list of groups begins with the one that was bound last, so that
// one is unbound first; and not every message is waited for.
func TestManyGroupsAreUnboundFromTheLastOn(t *testing.T) {
	groups := make([]uint16, 1000)
	for i := range groups {
		groups[i] = uint16(2 * i)
	}
	r, k := open(t, nflog.Config{Groups: groups})
	var order []uint16
	answered := 0
	k.Refuse(func(m nfnl.Message) error {
		if order = append(order, m.Resource); m.Flags&engine.FlagAck != 0 {
			answered++
		}
		return nil
	})
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	slices.Reverse(order)
	if !slices.Equal(order, groups) {
		t.Errorf("unbound %d groups, from the last on: %v", len(order), order)
	}
	if answered > len(groups)/50 {
		t.Errorf("%d answers were waited for", answered)
	}
}

// Without the privilege Shutdown waits for the kernel to deliver what it has
// collected. Who does not want to wait is not held up.
func TestShutdownWithoutPrivilegeIsNotWaitedFor(t *testing.T) {
	const long = time.Hour
	for name, test := range map[string]struct {
		act  func(r *nflog.Reader) error
		want error // of it
		then error // of Shutdown, once the Reader is closed
	}{
		"Close": {func(r *nflog.Reader) error { return r.Close() }, nil, net.ErrClosed},
		"another Shutdown": {func(r *nflog.Reader) error {
			ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errCause)
			defer cancel()
			return r.Shutdown(ctx)
		}, errCause, net.ErrClosed},
	} {
		bubble(t, name, func(t *testing.T) {
			r, k := open(t, nflog.Config{FlushTimeout: long})
			k.Refuse(func(nfnl.Message) error { return syscall.EPERM })
			down := shutdown(t, r)
			synctest.Wait()
			start := time.Now()
			testkit.WantError(t, name, test.act(r), test.want)
			testkit.WantError(t, "Shutdown", <-down, test.then)
			if d := time.Since(start); d > time.Minute {
				t.Errorf("it took %v", d)
			}
		})
	}
}
