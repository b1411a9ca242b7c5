package nflog_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

func TestCancelledLoopYieldsWhatItHasReceived(t *testing.T) {
	r, k := open(t, nflog.Config{Groups: []uint16{5, 6}, Batch: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	k.Log(packets("ab")...)
	k.Log(packets("c")...)
	var got string
	var last error
	for p, err := range r.Packets(ctx) {
		if last = err; err == nil {
			got += string(p.Payload)
			cancel(errCause)
		}
	}
	cancel(nil)
	if got != "ab" || last != errCause {
		t.Errorf("got %q and %v", got, last)
	}
	if !k.Bound(5) || !k.Bound(6) {
		t.Error("a group was unbound")
	}
	k.Collect(packets("d")...)
	k.Log(packets("e")...)
	if s := next(t, r, 3); s != "cde" {
		t.Errorf("then %q", s)
	}
	wantStats(t, r, 5, 0, 0)
}

func TestCancelEndsAWaitingLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := testkit.Background(func() error {
			_, err := all(ctx, r)
			return err
		})
		synctest.Wait()
		cancel(errCause)
		if err := testkit.Next(t, ended); err != errCause {
			t.Errorf("ended with %v", err)
		}
		k.Log(packets("a")...)
		if s := next(t, r, 1); s != "a" {
			t.Errorf("then %q", s)
		}
	})
}

func TestCancelledBeforeTheStartReceivesNothing(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("abc")...)
	next(t, r, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	if s, err := all(ctx, r); s != "" || err != errCause {
		t.Errorf("got %q and %v", s, err)
	}
	if s := next(t, r, 2); s != "bc" {
		t.Errorf("then %q", s)
	}
}

func TestTimeoutOfTheContextEndsTheLoop(t *testing.T) {
	r, _ := open(t, nflog.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if s, err := all(ctx, r); s != "" || err != context.DeadlineExceeded {
		t.Errorf("got %q and %v", s, err)
	}
}

// A program that looks for packets now and then misses none.
func TestLoopsWithTimeoutsMissNothing(t *testing.T) {
	var o testkit.Errors
	r, k := open(t, nflog.Config{OnError: o.Add})
	var got string
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		k.Log(packets("a")...)
		s, err := all(ctx, r)
		cancel()
		if err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		k.Log(packets("b")...) // between two loops
		got += s
	}
	if len(got) < 40 {
		got += next(t, r, 40-len(got))
	}
	if len(got) != 40 {
		t.Errorf("got %d of 40 packets", len(got))
	}
	if errs := o.Take(); errs != nil {
		t.Errorf("OnError was called with %v", errs)
	}
}

// TestCancelledLoopEnds has packets that come as fast as they are yielded, also
// by another loop that begins.
func TestCancelledLoopEnds(t *testing.T) {
	r, k := open(t, nflog.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	k.Log(packets("a")...)
	got := ""
	var last error
	for p, err := range r.Packets(ctx) {
		if last = err; err != nil {
			break
		}
		if got += string(p.Payload); len(got) > 10 {
			t.Fatal("there is no end")
		}
		k.Log(packets("bc")...)
		cancel(errCause)
		next(t, r, 1)
	}
	cancel(nil)
	if got != "a" || last != errCause {
		t.Errorf("got %q and %v", got, last)
	}
}

func TestCancelAllLoopsAtOnce(t *testing.T) {
	r, k := open(t, nflog.Config{})
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var ends []<-chan error
		for range 4 {
			ends = append(ends, testkit.Background(func() error {
				_, err := all(ctx, r)
				return err
			}))
		}
		cancel(errCause)
		for _, ended := range ends {
			if err := testkit.Next(t, ended); err != errCause {
				t.Fatal(err)
			}
		}
	}
	if !k.Bound(5) {
		t.Error("the group was unbound")
	}
}

func TestCancelLeavesTheGroupToAWaitingReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		b := r.NewBatch()
		received := testkit.Background(func() error { return r.Receive(b) })
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := testkit.Background(func() error {
			_, err := all(ctx, r)
			return err
		})
		synctest.Wait()
		cancel(errCause)
		if err := testkit.Next(t, ended); err != errCause {
			t.Error(err)
		}
		k.Log(packets("a")...)
		if err := testkit.Next(t, received); err != nil || letters(b.Packets) != "a" {
			t.Errorf("got %q, %v", letters(b.Packets), err)
		}
	})
}
