package nflog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestCancelledLoopIsFollowedByAnother(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(t *testing.T, r *nflog.Reader) nflog.Packet
	}{
		{"Packets", func(t *testing.T, r *nflog.Reader) nflog.Packet {
			for p, err := range r.Packets(t.Context()) {
				if err != nil {
					t.Error(err)
					break
				}
				return *p.Clone()
			}
			return nflog.Packet{}
		}},
		{"Receive", func(t *testing.T, r *nflog.Reader) nflog.Packet {
			b := r.NewBatch()
			if err := r.Receive(b); err != nil {
				t.Error(err)
				return nflog.Packet{}
			}
			return *b.Packets[0].Clone()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{})
			for range 3 {
				ctx, cancel := context.WithCancelCause(t.Context())
				k.Log(packets("ab")...)
				cancel(errCause)
				if _, err := all(ctx, r); err != errCause {
					t.Fatal(err)
				}
				k.Log(packets("nobody sees this")...)

				var p nflog.Packet
				got := background(t, func() error { p = c.next(t, r); return nil })
				parked(t, 1)
				k.Lose(5, 3)
				k.Log(packets("c")...)
				got()
				if p.Seq != 3 || string(p.Payload) != "c" {
					t.Errorf("got number %d, %q", p.Seq, p.Payload)
				}
			}
			if s := r.Stats(); s.Lost != 3*3 {
				t.Errorf("%d lost, want those before the first of each binding", s.Lost)
			}
		})
	}
}

func TestReceiversBindAgainOnce(t *testing.T) {
	var met sync.WaitGroup // both have seen that the group is not bound
	met.Add(2)
	r, k := open(t, nflog.Config{Batch: 1, OnError: func(error) {
		met.Done()
		met.Wait()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all(ctx, r)
	var binds atomic.Int32
	k.Refuse(func(nfnl.Message) error { binds.Add(1); return nil })
	k.Deliver([]byte("nonsense"))
	k.Deliver([]byte("nonsense"))
	var ends []func() error
	for range 2 {
		ends = append(ends, background(t, func() error { return r.Receive(r.NewBatch()) }))
	}
	parked(t, 2)
	if n := binds.Load(); n != 1 {
		t.Errorf("bound by %d messages", n)
	}
	r.Close()
	for _, ended := range ends {
		ended()
	}
}

func TestTryReceiveDoesNotBindAgain(t *testing.T) {
	r, k := open(t, nflog.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all(ctx, r)
	if s := tryReceive(t, r, r.NewBatch()); s != "" || k.Bound(5) {
		t.Errorf("got %q, bound %v", s, k.Bound(5))
	}
}

func TestBindingAgainCanFail(t *testing.T) {
	r, k := open(t, nflog.Config{Groups: []uint16{5, 6}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all(ctx, r)
	takenByAnother(k, 6)
	s, err := all(t.Context(), r)
	if s != "" || !errors.Is(err, nflog.ErrTaken) {
		t.Errorf("got %q and %v", s, err)
	}
	if k.Bound(5) {
		t.Error("half of the groups is bound")
	}
	if err := r.Receive(r.NewBatch()); !errors.Is(err, nflog.ErrTaken) {
		t.Error(err)
	}
	k.Refuse(nil)
	got := background(t, func() error {
		if s := next(t, r, 1); s != "a" {
			t.Errorf("got %q", s)
		}
		return nil
	})
	parked(t, 1)
	k.Log(packets("a")...)
	got()
}
