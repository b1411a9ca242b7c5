package nflog_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestPacketsYieldsWhatIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(packets("ab")...)
		k.Log(packets("c")...)
		got := testkit.Background(func() error {
			if s := next(t, r, 5); s != "abcde" {
				t.Errorf("got %q", s)
			}
			return nil
		})
		synctest.Wait()
		k.Log(packets("de")...)
		if err := testkit.Next(t, got); err != nil {
			t.Error(err)
		}
		wantStats(t, r, 5, 0, 0)
	})
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
	synctest.Test(t, func(t *testing.T) {
		const loops, datagrams = 3, 300
		var o testkit.Errors
		r, k := open(t, nflog.Config{OnError: o.Add})
		counts := make(chan int, loops)
		var ends []<-chan error
		for range loops {
			ends = append(ends, testkit.Background(func() error {
				s, err := all(t.Context(), r)
				counts <- len(s)
				return err
			}))
		}
		synctest.Wait()
		for range datagrams {
			k.Log(packets("abc")...)
		}
		k.Collect(packets("de")...)
		if err := testkit.Next(t, shutdown(t, r)); err != nil {
			t.Error(err)
		}
		sum := 0
		for _, ended := range ends {
			if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			sum += <-counts
		}
		if want := 3*datagrams + 2; sum != want {
			t.Errorf("%d of %d packets came", sum, want)
		}
		if errs := o.Take(); errs != nil {
			t.Errorf("OnError was called with %v", errs)
		}
	})
}

// What a loop leaves behind goes to who waits already, and not only with the next
// packet.
func TestPacketsLeftBehindReachWhoWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		wait func(ctx context.Context, r *nflog.Reader, b *nflog.Batch) (string, error)
	}{
		{"Receive", func(_ context.Context, r *nflog.Reader, b *nflog.Batch) (string, error) {
			err := r.Receive(b)
			return letters(b.Packets), err
		}},
		{"Packets", func(ctx context.Context, r *nflog.Reader, b *nflog.Batch) (s string, err error) {
			for p, err := range r.Packets(ctx) {
				if err != nil {
					return s, err
				}
				if s += string(p.Payload); s == "bc" {
					break
				}
			}
			return s, nil
		}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{})
			atA, leave := make(chan bool), make(chan bool)
			left := testkit.Background(func() error {
				for range r.Packets(t.Context()) {
					close(atA)
					<-leave
					break
				}
				return nil
			})
			synctest.Wait()
			k.Log(packets("abc")...)
			<-atA
			var got string
			received := testkit.Background(func() (err error) {
				got, err = c.wait(t.Context(), r, r.NewBatch())
				return err
			})
			synctest.Wait()
			close(leave)
			testkit.Next(t, left)
			if err := testkit.Next(t, received); err != nil || got != "bc" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
