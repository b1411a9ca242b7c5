package nflog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// shutdown shuts r down in the background, with testkit.Patience.
func shutdown(t *testing.T, r *nflog.Reader) <-chan error {
	return testkit.Background(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		defer cancel()
		return r.Shutdown(ctx)
	})
}

func TestShutdownHandsOutWhatWasCollected(t *testing.T) {
	for _, c := range []struct {
		name   string
		parked bool
	}{{"in the body", false}, {"while waiting", true}} {
		bubble(t, c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{Groups: []uint16{5, 6}, Batch: 1})
			k.Log(packets("ab")...)
			k.Log(packets("c")...)
			k.Collect(packets("d")...)
			k.Collect(nflog.Packet{Group: 6, Payload: []byte("e")}, nflog.Packet{Group: 6, Payload: []byte("f")})
			atA, goOn := make(chan bool), make(chan bool)
			var got string
			ended := testkit.Background(func() error {
				for p, err := range r.Packets(t.Context()) {
					if err != nil {
						return err
					}
					if got += string(p.Payload); got == "a" && !c.parked {
						close(atA)
						<-goOn
					}
				}
				return nil
			})
			if c.parked {
				synctest.Wait()
			} else {
				<-atA
			}
			down := shutdown(t, r)
			testkit.Await(t, "the groups to be unbound", func() bool { return !k.Bound(5) && !k.Bound(6) })
			close(goOn)
			if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the loop ended with %v", err)
			}
			if err := testkit.Next(t, down); err != nil {
				t.Error(err)
			}
			if got != "abcefd" { // group 6 was unbound first
				t.Errorf("got %q", got)
			}
			wantStats(t, r, 6, 0, 0)
		})
	}
}

// What a loop has left behind, and what nobody has received yet, goes to whoever
// receives next.
func TestShutdownWaitsForTheNextReceive(t *testing.T) {
	for _, c := range []struct {
		name string
		rest func(t *testing.T, r *nflog.Reader, b *nflog.Batch) (string, error)
	}{
		{"Packets", func(t *testing.T, r *nflog.Reader, b *nflog.Batch) (string, error) { return all(t.Context(), r) }},
		{"Receive", func(t *testing.T, r *nflog.Reader, b *nflog.Batch) (s string, err error) {
			for err == nil {
				err = r.Receive(b)
				s += letters(b.Packets)
			}
			return s, err
		}},
		{"TryReceive", func(t *testing.T, r *nflog.Reader, b *nflog.Batch) (s string, err error) {
			for err == nil {
				err = r.TryReceive(b)
				s += letters(b.Packets)
			}
			return s, err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{Batch: 1})
			k.Log(packets("ab")...)
			b := r.NewBatch()
			receive(t, r, b)
			for _, s := range []string{"cd", "ef", "g"} {
				k.Log(packets(s)...)
			}
			next(t, r, 1)
			k.Collect(packets("h")...)
			down := shutdown(t, r)
			testkit.Await(t, "the group to be unbound", func() bool { return !k.Bound(5) })
			if s, err := c.rest(t, r, b); s != "defgh" || !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %q and %v", s, err)
			}
			if err := testkit.Next(t, down); err != nil {
				t.Error(err)
			}
			if s := r.Stats(); s.Packets != 8 || s.Discarded != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestShutdownWithNobodyReceiving(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 1})
	k.Log(packets("abc")...)
	k.Log(packets("d")...)
	next(t, r, 1)
	k.Collect(packets("e")...)
	err := r.Shutdown(context.Background())
	if err == nil || !strings.Contains(err.Error(), "4 packets that nobody receives") {
		t.Errorf("error %v", err)
	}
	if s := r.Stats(); s.Packets != 5 || s.Discarded != 4 {
		t.Errorf("stats %+v", s)
	}
	if s, err := all(t.Context(), r); s != "" || !errors.Is(err, net.ErrClosed) {
		t.Errorf("then %q and %v", s, err)
	}
}

func TestShutdownOfWhatHasNothingDoesNotWait(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("a")...)
	receive(t, r, r.NewBatch())
	if err := r.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if k.Bound(5) {
		t.Error("still bound")
	}
}

func TestShutdownGivesUpWhenItsContextIsDone(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 1})
	k.Log(packets("ab")...)
	k.Log(packets("cde")...)
	inBody, goOn := make(chan bool), make(chan bool)
	ended := testkit.Background(func() (err error) {
		got := ""
		for p, perr := range r.Packets(t.Context()) {
			if err = perr; err != nil {
				break
			}
			got += string(p.Payload)
			close(inBody)
			<-goOn
		}
		if got != "a" {
			t.Errorf("got %q", got)
		}
		return err
	})
	<-inBody
	ctx, cancel := context.WithCancelCause(t.Context())
	down := testkit.Background(func() error { return r.Shutdown(ctx) })
	testkit.Await(t, "the group to be unbound", func() bool { return !k.Bound(5) })
	cancel(errCause)
	if err := testkit.Next(t, down); !errors.Is(err, errCause) || !strings.Contains(err.Error(), "3 packets that nobody has received") {
		t.Errorf("error %v", err)
	}
	close(goOn)
	if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the loop ended with %v", err)
	}
	if s := r.Stats(); s.Packets != 5 || s.Discarded != 4 {
		t.Errorf("stats %+v", s)
	}
}

func TestShutdownEndsOnce(t *testing.T) {
	r, _ := open(t, nflog.Config{})
	var nilContext context.Context
	if err := r.Shutdown(nilContext); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("nil context: %v", err)
	}
	for range 2 {
		if err := r.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	r, _ = open(t, nflog.Config{})
	r.Close()
	if err := r.Shutdown(t.Context()); err != nil {
		t.Errorf("closed: %v", err)
	}
}

func TestCloseEndsShutdown(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("a")...)
	for range r.Packets(t.Context()) {
		down := shutdown(t, r)
		testkit.Await(t, "the group to be unbound", func() bool { return !k.Bound(5) })
		r.Close()
		if err := testkit.Next(t, down); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v", err)
		}
		break
	}
}

// What would ask the kernel in the body of a loop that Shutdown waits for neither
// waits for Shutdown nor binds the groups again.
func TestBodyMayUseTheReaderDuringShutdown(t *testing.T) {
	r, k := open(t, nflog.Config{Groups: []uint16{0}})
	k.Log(packets("a")...)
	var down <-chan error
	for _, err := range r.Packets(t.Context()) {
		if err != nil {
			break
		}
		down = shutdown(t, r)
		testkit.Await(t, "the group to be unbound", func() bool { return !k.Bound(0) })
		testkit.Await(t, "Shutdown to wait", func() bool { return errors.Is(r.Configure(nflog.Config{Groups: []uint16{0}}), net.ErrClosed) })
		if err := r.SetNamespaceLogger(nfnl.IPv4); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetNamespaceLogger: %v", err)
		}
		if err := r.SetReadDeadline(time.Time{}); err != nil {
			t.Errorf("SetReadDeadline: %v", err)
		}
		r.Stats()
	}
	if err := testkit.Next(t, down); err != nil {
		t.Error(err)
	}
}

// A program that ends on a signal, and loses nothing that was logged before.
func ExampleReader_Shutdown() {
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext, in a program
	defer stop()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.Shutdown(patience); err != nil {
			fmt.Println(err)
		}
	})
	for p, err := range r.Packets(context.Background()) {
		if errors.Is(err, net.ErrClosed) {
			break // by Shutdown: this was all
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p)
	}
}
