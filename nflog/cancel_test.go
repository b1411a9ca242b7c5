package nflog_test

import (
	"context"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
)

func TestCancelYieldsWhatWasCollected(t *testing.T) {
	for _, c := range []struct {
		name   string
		parked bool
	}{{"in the body", false}, {"while waiting", true}} {
		t.Run(c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{Groups: []uint16{5, 6}, Batch: 1})
			ctx, cancel := context.WithCancelCause(t.Context())
			k.Log(packets("ab")...)
			k.Log(packets("c")...)
			collect := func() {
				k.Collect(packets("d")...)
				k.Collect(nflog.Packet{Group: 6, Payload: []byte("e")}, nflog.Packet{Group: 6, Payload: []byte("f")})
			}
			if !c.parked {
				collect()
			}
			var got string
			ended := background(t, func() (err error) {
				for p, perr := range r.Packets(ctx) {
					if err = perr; err != nil {
						break
					}
					if got += string(p.Payload); got == "a" && !c.parked {
						cancel(errCause)
					}
				}
				return err
			})
			if c.parked {
				parked(t, 1)
				collect()
				cancel(errCause)
			}
			if err := ended(); err != errCause {
				t.Errorf("ended with %v", err)
			}
			if got != "abcdef" {
				t.Errorf("got %q", got)
			}
			if k.Bound(5) || k.Bound(6) {
				t.Error("a group is still bound")
			}
			wantStats(t, r, 6, 0, 0)
		})
	}
}

func TestCancelledBeforeTheStartYieldsWhatIsThere(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("abc")...)
	next(t, r, 1)
	k.Collect(packets("d")...)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	if s, err := all(ctx, r); s != "bcd" || err != errCause {
		t.Errorf("got %q and %v", s, err)
	}
	if s, err := all(ctx, r); s != "" || err != errCause {
		t.Errorf("then %q and %v", s, err)
	}
	if k.Bound(5) {
		t.Error("the group was bound for a loop that had been cancelled")
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

func TestCollectedPacketsSurviveABreak(t *testing.T) {
	for _, c := range []struct {
		name string
		rest func(t *testing.T, r *nflog.Reader) string
	}{
		{"Packets", func(t *testing.T, r *nflog.Reader) string { return next(t, r, 5) }},
		{"Receive", func(t *testing.T, r *nflog.Reader) (s string) {
			for b := r.NewBatch(); len(s) < 5; {
				s += receive(t, r, b)
			}
			return s
		}},
		{"TryReceive", func(t *testing.T, r *nflog.Reader) (s string) {
			for b := r.NewBatch(); len(s) < 5; {
				s += tryReceive(t, r, b)
			}
			return s
		}},
		{"Packets, cancelled too", func(t *testing.T, r *nflog.Reader) string {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errCause)
			s, err := all(ctx, r)
			if err != errCause {
				t.Error(err)
			}
			return s
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o told
			r, k := open(t, nflog.Config{Batch: 1, OnError: o.onError})
			for _, s := range []string{"ab", "cd", "e"} {
				k.Log(packets(s)...)
			}
			k.Collect(packets("f")...)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for p := range r.Packets(ctx) {
				if string(p.Payload) != "a" {
					t.Errorf("got %q", p.Payload)
				}
				break
			}
			if s := c.rest(t, r); s != "bcdef" {
				t.Errorf("then %q", s)
			}
			if k.Bound(5) {
				t.Error("bound again before all was read that came before")
			}
			b := r.NewBatch()
			received := background(t, func() error { return r.Receive(b) })
			parked(t, 1)
			k.Log(packets("g")...)
			if err := received(); err != nil || letters(b.Packets) != "g" {
				t.Errorf("bound again: %q, %v", letters(b.Packets), err)
			}
			if errs := o.take(); errs != nil {
				t.Errorf("OnError was told %v", errs)
			}
			wantStats(t, r, 7, 0, 0)
		})
	}
}

func TestMalformedMessageDoesNotHideWhatWasCollected(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	k.Deliver([]byte("nonsense"))
	k.Log(packets("a")...)
	cancel(errCause)
	if s, err := all(ctx, r); s != "a" || err != errCause {
		t.Errorf("got %q and %v", s, err)
	}
	wantStats(t, r, 1, 0, 1)
}

func TestOnlyTheLastLoopUnbinds(t *testing.T) {
	r, k := open(t, nflog.Config{})
	var cancels []context.CancelCauseFunc
	var ends []func() error
	for range 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancels = append(cancels, cancel)
		ends = append(ends, background(t, func() error {
			_, err := all(ctx, r)
			return err
		}))
	}
	parked(t, 3)
	for i, cancel := range cancels {
		if !k.Bound(5) {
			t.Errorf("unbound while %d loops run", len(cancels)-i)
		}
		cancel(errCause)
		if err := ends[i](); err != errCause {
			t.Error(err)
		}
	}
	if k.Bound(5) {
		t.Error("still bound")
	}
}

func TestCancelAllLoopsAtOnce(t *testing.T) {
	r, k := open(t, nflog.Config{})
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var ends []func() error
		for range 4 {
			ends = append(ends, background(t, func() error {
				_, err := all(ctx, r)
				return err
			}))
		}
		cancel(errCause)
		for _, ended := range ends {
			if err := ended(); err != errCause {
				t.Fatal(err)
			}
		}
	}
	if k.Bound(5) {
		t.Error("nobody was the last")
	}
}

func TestCancelLeavesTheGroupToAWaitingReceive(t *testing.T) {
	r, k := open(t, nflog.Config{})
	b := r.NewBatch()
	received := background(t, func() error { return r.Receive(b) })
	parked(t, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := background(t, func() error {
		_, err := all(ctx, r)
		return err
	})
	parked(t, 2)
	cancel(errCause)
	if err := ended(); err != errCause {
		t.Error(err)
	}
	k.Log(packets("a")...)
	if err := received(); err != nil || letters(b.Packets) != "a" {
		t.Errorf("got %q, %v", letters(b.Packets), err)
	}
}
