package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestCancelledContextReceivesNothing(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	id := k.Enqueue(packet("x"))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no more")
	cancel(why)
	err := q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict {
		t.Error("a packet was handed over")
		return nfqueue.Drop()
	})
	if err != why {
		t.Errorf("Run returned %v", err)
	}
	if !slices.Equal(k.Waiting(), []uint32{id}) {
		t.Errorf("waiting are %v", k.Waiting())
	}
}

func TestCancelEndsAWaitingRun(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	stop := start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept()) // now it waits
	if err := stop(); err != context.Canceled {
		t.Errorf("Run returned %v", err)
	}
}

func TestCancelInAHandlerFinishesTheBatch(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict {
		cancel()
		return nfqueue.Accept()
	}); err != context.Canceled {
		t.Errorf("Run returned %v", err)
	}
	if left := k.Waiting(); len(left) > 0 {
		t.Errorf("%v still wait", left)
	}
}

func TestSecondRunGoesOn(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for range 3 {
		stop := start(t, q, accept)
		wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
		if err := stop(); err != context.Canceled {
			t.Errorf("Run returned %v", err)
		}
		between := k.Enqueue(packet("y")) // waits for the next Run
		if !slices.Contains(k.Waiting(), between) {
			t.Error("a packet was decided while nobody ran")
		}
	}
}

func TestDeadlineEndsRun(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	if err := q.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := q.Run(t.Context(), accept); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Run returned %v", err)
	}
	if err := q.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
}

func TestCloseEndsAWaitingRun(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	ended := testkit.Background(func() error { return q.Run(t.Context(), accept) })
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- q.Close() }()
	}
	if err := errors.Join(testkit.Next(t, closed), testkit.Next(t, closed)); err != nil {
		t.Errorf("Close returned %v", err)
	}
	if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
}

// Close in the middle of a Send waits for nothing, and everything that comes later
// is net.ErrClosed.
func TestCloseDuringSend(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictType && m.Seq == 2 {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	b := q.NewBatch()
	receive(t, q, b, 3)
	if err := q.Send(b); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send returned %v", err)
	}
	if err := q.Receive(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("afterwards Receive returned %v", err)
	}
	if err := q.SetVerdictAll(nfqueue.Drop()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("afterwards SetVerdictAll returned %v", err)
	}
}

func TestCloseInAHandlerEndsRun(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	k.Enqueue(packet("x"))
	k.Enqueue(packet("y"))
	err := q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict {
		if err := q.Close(); err != nil {
			t.Errorf("Close returned %v", err)
		}
		return nfqueue.Accept()
	})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
}

// Neither of what ends Run interrupts a handler.
func TestRunReturnsOnceItsHandlerHas(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(q *nfqueue.Queue, cancel func()) error
		want error
		left int
	}{
		"cancel": {func(_ *nfqueue.Queue, cancel func()) error { cancel(); return nil }, context.Canceled, 0},
		"Close":  {func(q *nfqueue.Queue, _ func()) error { return q.Close() }, net.ErrClosed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{})
			k.Enqueue(packet("x"))
			k.Enqueue(packet("y"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			blocked, release, ended := make(chan struct{}, 2), make(chan struct{}), make(chan error, 1)
			go func() {
				ended <- q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict {
					blocked <- struct{}{}
					<-release
					return nfqueue.Accept()
				})
			}()
			testkit.Next(t, blocked)
			if err := c.end(q, cancel); err != nil {
				t.Error(err)
			}
			select {
			case err := <-ended:
				t.Errorf("Run left its handler behind: %v", err)
			case <-time.After(10 * time.Millisecond):
			}
			close(release)
			if err := testkit.Next(t, ended); !errors.Is(err, c.want) {
				t.Errorf("Run returned %v", err)
			}
			if left := k.Waiting(); len(left) != c.left {
				t.Errorf("%d wait", left)
			}
		})
	}
}

func TestOneOfTwoRunsIsCancelled(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	first, second := start(t, q, accept), start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	if err := first(); err != context.Canceled {
		t.Errorf("the first Run returned %v", err)
	}
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
	if err := second(); err != context.Canceled {
		t.Errorf("the second Run returned %v", err)
	}
}

func TestRunEndsWhenTheKernelTakesNoVerdicts(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENODEV} {
		q, k := open(t, nfqueue.Config{})
		refuseVerdicts(k, 1, 1, errno)
		k.Enqueue(packet("x"))
		if err := q.Run(t.Context(), accept); !errors.Is(err, errno) {
			t.Errorf("Run returned %v, want %v", err, errno)
		}
	}
}

func TestPacketsThatCameWithTheEndGetTheFallback(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: nfqueue.Accept().WithMark(9)})
	refuseVerdicts(k, 1, 1, syscall.EPERM)
	k.Enqueue(packet("x"))
	var second uint32
	err := q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict {
		if second == 0 {
			// It lies before the refusal on the socket, and comes with it.
			second = k.Enqueue(packet("y"))
		}
		return nfqueue.Accept()
	})
	if !errors.Is(err, syscall.EPERM) {
		t.Errorf("Run returned %v", err)
	}
	wantVerdict(t, k, second, nfqueue.Accept().WithMark(9))
}

func TestConnectionThatFailsEndsRun(t *testing.T) {
	q, w := tap(t, nfqueue.Config{})
	w.Close()
	if err := q.Run(t.Context(), accept); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
}
