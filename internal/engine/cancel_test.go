package engine

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

var errCause = errors.New("the cause")

func TestCancelledBeforeReceivesNothing(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		ctx, cancel := context.WithCancelCause(k.Context())
		r := k.conn.Receiver(ctx)
		defer r.Close()
		k.packets(1, 1)
		cancel(errCause)
		for range 2 {
			if err := r.Receive(s.batch(8)); err != errCause {
				k.Fatal(err)
			}
		}
		s.want(k, 1, 0)
		if err := k.conn.Receive(s.batch(8)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestCancelEndsTheWaitAndNoOther(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		k.conn.SetReadDeadline(time.Now().Add(time.Hour))
		for id := uint32(1); id <= 100; id++ {
			ctx, cancel := context.WithCancelCause(k.Context())
			r := k.conn.Receiver(ctx)
			received := testkit.Background(func() error { return r.Receive(s.batch(8)) })
			if id%4 == 0 { // otherwise wherever it is by then
				k.parked()
			}
			cancel(errCause)
			if err := testkit.Next(k, received); err != errCause {
				k.Fatal(err)
			}
			r.Close()

			// Nothing of the interruption is left.
			received = testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
			if id%4 == 0 {
				k.parked()
			}
			k.packets(id, id)
			if err := testkit.Next(k, received); err != nil {
				k.Fatal(err)
			}
			s.want(k, id, id)
		}
		k.conn.SetReadDeadline(time.Now())
		if err := k.conn.Receive(s.batch(8)); !errors.Is(err, os.ErrDeadlineExceeded) {
			k.Error(err)
		}
	})
}

func TestDeadlineOutlivesACancelledReceiver(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		ctx, cancel := context.WithCancelCause(k.Context())
		r := k.conn.Receiver(ctx)
		defer r.Close()
		received := testkit.Background(func() error { return r.Receive(s.batch(8)) })
		k.parked()
		k.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		cancel(errCause)
		if err := testkit.Next(k, received); err != errCause {
			k.Error(err)
		}
		err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(s.batch(8)) }))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			k.Error(err)
		}
	})
}

func TestTimeoutOfTheContextIsItsError(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		ctx, cancel := context.WithTimeout(k.Context(), 10*time.Millisecond)
		defer cancel()
		r := k.conn.Receiver(ctx)
		defer r.Close()
		err := testkit.Next(k, testkit.Background(func() error { return r.Receive(s.batch(8)) }))
		if err != context.DeadlineExceeded {
			k.Error(err)
		}
	})
}

func TestReceiverClosedBeforeCancelDisturbsNobody(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		ctx, cancel := context.WithCancelCause(k.Context())
		r := k.conn.Receiver(ctx)
		k.packets(1, 1)
		if err := r.Receive(s.batch(8)); err != nil {
			k.Fatal(err)
		}
		r.Close()
		r.Close()
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		cancel(errCause)
		k.packets(2, 2)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 2)
	})
}

// TestCancelledBetweenTakingTheTokenAndWaiting: the interruption finds nobody
// to interrupt, and will not come again.
func TestCancelledBetweenTakingTheTokenAndWaiting(t *testing.T) {
	overTransports(t, func(k *kernel) {
		ctx, cancel := context.WithCancelCause(k.Context())
		r := k.conn.Receiver(ctx)
		cancel(errCause)
		r.interrupt()
		err := testkit.Next(k, testkit.Background(func() error { return k.conn.fill(r, new(seen).batch(1)) }))
		if err != errCause {
			k.Error(err)
		}
	})
}

// A slow transport notices a deadline when it is told to.
type slow struct {
	transport
	deadlines chan time.Time // that were set
	notice    chan struct{}
}

func (s *slow) receive(*Batch, bool) error {
	<-s.notice
	return os.ErrDeadlineExceeded
}

func (s *slow) setReadDeadline(t time.Time) error {
	s.deadlines <- t
	return nil
}

func TestDeadlineSetWhileCancellingDoesNotUndoIt(t *testing.T) {
	s := &slow{deadlines: make(chan time.Time, 9), notice: make(chan struct{})}
	c := newConn(s)
	ctx, cancel := context.WithCancelCause(t.Context())
	r := c.Receiver(ctx)
	defer r.Close()
	received := make(chan error)
	go func() { received <- r.Receive(new(seen).batch(1)) }()
	for c.holder.Load() != r {
		time.Sleep(time.Millisecond)
	}
	cancel(errCause)
	if d := <-s.deadlines; d != aLongTimeAgo {
		t.Fatalf("interrupted by the deadline %v", d)
	}
	later := time.Now().Add(time.Hour)
	c.SetReadDeadline(later)
	if len(s.deadlines) > 0 {
		t.Error("the deadline that interrupts was replaced before it was noticed")
	}
	close(s.notice)
	if err := <-received; err != errCause {
		t.Error(err)
	}
	if d := <-s.deadlines; d != later {
		t.Errorf("then the deadline is %v", d)
	}
}
