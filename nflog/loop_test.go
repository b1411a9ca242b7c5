package nflog_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestPacketsYieldsWhatIsLogged(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("ab")...)
	k.Log(packets("c")...)
	got := background(t, func() error {
		if s := next(t, r, 5); s != "abcde" {
			t.Errorf("got %q", s)
		}
		return nil
	})
	parked(t, 1)
	k.Log(packets("de")...)
	if err := got(); err != nil {
		t.Error(err)
	}
	wantStats(t, r, 5, 0, 0)
}

// ways to leave the body of a loop that is at its second packet.
var ways = []struct {
	name  string
	leave func(t *testing.T, r *nflog.Reader)
}{
	{"break", func(t *testing.T, r *nflog.Reader) {
		if s := next(t, r, 2); s != "ab" {
			t.Errorf("got %q", s)
		}
	}},
	{"panic", func(t *testing.T, r *nflog.Reader) {
		defer func() {
			if recover() != "in the body" {
				t.Error("the panic was not passed on")
			}
		}()
		for p := range r.Packets(t.Context()) {
			if string(p.Payload) == "b" {
				panic("in the body")
			}
		}
	}},
	{"Goexit", func(t *testing.T, r *nflog.Reader) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for p := range r.Packets(t.Context()) {
				if string(p.Payload) == "b" {
					runtime.Goexit()
				}
			}
		}()
		<-done
	}},
	{"stop of an iter.Pull", func(t *testing.T, r *nflog.Reader) {
		pull, stop := iter.Pull2(r.Packets(t.Context()))
		pull()
		pull()
		stop()
	}},
}

func TestLoopLeftInTheMiddleLosesNothing(t *testing.T) {
	for _, way := range ways {
		for _, c := range []struct {
			name string
			rest func(t *testing.T, r *nflog.Reader) string
		}{
			{"Packets", func(t *testing.T, r *nflog.Reader) string { return next(t, r, 3) + next(t, r, 1) }},
			{"Receive", func(t *testing.T, r *nflog.Reader) string {
				b := r.NewBatch()
				return receive(t, r, b) + receive(t, r, b)
			}},
			{"TryReceive", func(t *testing.T, r *nflog.Reader) string {
				b := r.NewBatch()
				return tryReceive(t, r, b) + tryReceive(t, r, b)
			}},
		} {
			t.Run(way.name+", then "+c.name, func(t *testing.T) {
				r, k := open(t, nflog.Config{})
				k.Log(packets("abcde")...)
				way.leave(t, r)
				k.Log(packets("f")...)
				if s := c.rest(t, r); s != "cdef" {
					t.Errorf("then %q", s)
				}
				wantStats(t, r, 6, 0, 0)
			})
		}
	}
}

func TestLoopLeftAtEveryPacketLosesNothing(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 2})
	for _, s := range []string{"abc", "d", "ef", "g", "h"} {
		k.Log(packets(s)...)
	}
	got := ""
	for range 8 {
		got += next(t, r, 1)
	}
	if got != "abcdefgh" {
		t.Errorf("got %q", got)
	}
}

func TestBatchKeepsItsPacketsWhileALoopRuns(t *testing.T) {
	r, k := open(t, nflog.Config{})
	b := r.NewBatch()
	k.Log(packets("abcd")...)
	next(t, r, 1)
	if s := receive(t, r, b); s != "bcd" { // in memory that was the loop's
		t.Fatalf("got %q", s)
	}
	for range 3 {
		k.Log(packets("xyz")...)
		next(t, r, 3)
	}
	if s := letters(b.Packets); s != "bcd" {
		t.Errorf("the batch has become %q", s)
	}
}

func TestLoopsLeftOneInsideTheOtherLoseNothing(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("ab")...)
	for range r.Packets(t.Context()) {
		k.Log(packets("cd")...)
		next(t, r, 1)
		break
	}
	if s := next(t, r, 2); s != "db" && s != "bd" {
		t.Errorf("then %q", s)
	}
}

func TestLoopThatReceivesNothingLeavesNothing(t *testing.T) {
	r, k := open(t, nflog.Config{})
	b := r.NewBatch()
	k.Log(packets("ab")...)
	receive(t, r, b)
	k.Log(packets("cde")...)
	next(t, r, 1)
	receive(t, r, b) // the loop's memory; the Reader has that of "ab" now
	k.Refuse(func(nfnl.Message) error { return syscall.EPERM })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	all(ctx, r)
	if s := tryReceive(t, r, b); s != "" {
		t.Errorf("got %q again", s)
	}
}

func TestCancelYieldsWhatWasCollected(t *testing.T) {
	for _, c := range []struct {
		name   string
		parked bool
	}{{"in the body", false}, {"while waiting", true}} {
		t.Run(c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{Groups: []uint16{5, 6}, Batch: 1})
			ctx, cancel := context.WithCancelCause(t.Context())
			k.Log(packets("ab")...)
			if !c.parked {
				k.Log(packets("c")...)
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
				k.Log(packets("c")...)
				parked(t, 1)
			}
			k.Collect(packets("d")...)
			k.Collect(nflog.Packet{Group: 6, Payload: []byte("e")}, nflog.Packet{Group: 6, Payload: []byte("f")})
			cancel(errCause)
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

func TestCloseEndsTheLoop(t *testing.T) {
	t.Run("while waiting", func(t *testing.T) {
		r, _ := open(t, nflog.Config{})
		ended := background(t, func() error {
			_, err := all(t.Context(), r)
			return err
		})
		parked(t, 1)
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := ended(); !errors.Is(err, net.ErrClosed) {
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
		if got != "ab" || !errors.Is(last, net.ErrClosed) {
			t.Errorf("got %q and %v", got, last)
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
		var o told
		r, _ := open(t, nflog.Config{OnError: o.onError})
		ctx, cancel := context.WithCancelCause(t.Context())
		r.Close()
		cancel(errCause)
		if s, err := all(ctx, r); s != "" || err != errCause {
			t.Errorf("got %q and %v", s, err)
		}
		if errs := o.take(); errs != nil {
			t.Errorf("OnError was told %v", errs)
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

func TestBodyMayUseTheReader(t *testing.T) {
	r, k := open(t, nflog.Config{})
	b := r.NewBatch()
	k.Log(packets("abc")...)
	var got string
	for p, err := range r.Packets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got += string(p.Payload)
		switch string(p.Payload) {
		case "a":
			k.Log(packets("x")...)
			got += receive(t, r, b)
		case "b":
			k.Log(packets("yz")...)
			got += next(t, r, 1)
			r.Stats()
			r.SetReadDeadline(time.Time{})
		}
		if len(got) == 5 {
			break
		}
	}
	got += tryReceive(t, r, b) // what the inner loop has left
	if got != "axbycz" {
		t.Errorf("got %q", got)
	}
}

func TestLoopsShareWhatComes(t *testing.T) {
	const loops, datagrams = 3, 300
	var o told
	r, k := open(t, nflog.Config{OnError: o.onError})
	ctx, cancel := context.WithCancelCause(t.Context())
	counts := make(chan int, loops)
	var ends []func() error
	for range loops {
		ends = append(ends, background(t, func() error {
			s, err := all(ctx, r)
			counts <- len(s)
			return err
		}))
	}
	parked(t, loops)
	for range datagrams {
		k.Log(packets("abc")...)
	}
	k.Collect(packets("de")...)
	cancel(errCause)
	sum := 0
	for _, ended := range ends {
		if err := ended(); err != errCause {
			t.Error(err)
		}
		sum += <-counts
	}
	if want := 3*datagrams + 2; sum != want {
		t.Errorf("%d of %d packets came", sum, want)
	}
	if errs := o.take(); errs != nil {
		t.Errorf("OnError was told %v", errs)
	}
}
