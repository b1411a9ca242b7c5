package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestReceiveWaitsUntilSomethingComes(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		k.deliver(packet(1))
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestReceiveTakesWhatIsThereAndFits(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 11)
		k.deliver(append(packet(12), packet(13)...)) // one datagram
		for _, tt := range []struct{ room, first, last uint32 }{{8, 1, 8}, {2, 9, 10}, {8, 11, 13}} {
			if err := k.conn.Receive(s.batch(int(tt.room))); err != nil {
				k.Fatal(err)
			}
			s.want(k, tt.first, tt.last)
		}
	})
}

func TestReceiveWaitsOnWhenThereIsNothingToTake(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(1)) })
		k.deliver(nlmsg(16, uint16(typeNoop), 0, 0, 0))
		k.deliver(nlmsg(16, uint16(typeDone), 0, 0, 0))
		k.deliver(nil)
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestDeadlineInThePastFailsAtOnce(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 1)
		k.conn.SetReadDeadline(time.Now().Add(-time.Second))
		for range 2 {
			if err := k.conn.Receive(s.batch(1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				k.Fatal(err)
			}
		}
		if err := k.conn.TryReceive(s.batch(1)); err != nil {
			k.Fatal("TryReceive does not wait, and so has no deadline:", err)
		}
		s.want(k, 1, 1)
	})
}

func TestDeadlinePassesWhileWaiting(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		end := time.Now().Add(30 * time.Millisecond)
		k.conn.SetReadDeadline(end)
		err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(s.batch(1)) }))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(end) {
			k.Errorf("%v, %v before the deadline", err, time.Until(end))
		}
	})
}

func TestDeadlineSetWhileWaitingEndsTheWait(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		first := testkit.Background(func() error { return k.conn.Receive(s.batch(1)) })
		k.parked()
		second := testkit.Background(func() error { return k.conn.Receive(s.batch(1)) })
		k.settle()
		k.conn.SetReadDeadline(time.Now())
		for _, received := range []<-chan error{first, second} {
			if err := testkit.Next(k, received); !errors.Is(err, os.ErrDeadlineExceeded) {
				k.Error(err)
			}
		}
	})
}

func TestClearedDeadlineIsNone(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		k.conn.SetReadDeadline(time.Now().Add(-time.Second))
		k.conn.SetReadDeadline(time.Time{})
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(1)) })
		k.parked()
		k.conn.SetReadDeadline(time.Now().Add(time.Hour))
		k.conn.SetReadDeadline(time.Time{})
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestTryReceiveDoesNotWait(t *testing.T) {
	settling(t, func(k *kernel) {
		var s, other seen
		if err := k.conn.TryReceive(s.batch(8)); err != nil {
			k.Fatal("with nothing there:", err)
		}
		s.want(k, 1, 0)
		k.packets(1, 3)
		if err := k.conn.TryReceive(s.batch(2)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 2)
		if err := k.conn.TryReceive(s.batch(2)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 3, 3)

		received := testkit.Background(func() error { return k.conn.Receive(other.batch(8)) })
		k.parked()
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.TryReceive(s.batch(8)) })); err != nil {
			k.Fatal("behind another:", err)
		}
		s.want(k, 1, 0)
		k.packets(4, 4)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		other.want(k, 4, 4)
	})
}

func TestTryReceiveLooksBehindAnswers(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.deliver(nlmsg(16, uint16(typeDone), 0, 0, 0)) // no more than an answer is
		k.packets(1, 1)
		if err := k.conn.TryReceive(s.batch(1)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestHungUpKernelIsAnErrorAfterWhatItSent(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 3)
		k.peer.Close()
		if k.peer.Deliver(packet(4)) == nil {
			k.Error("something was delivered after hanging up")
		}
		for _, tt := range []struct{ first, last uint32 }{{1, 2}, {3, 3}} {
			if err := k.conn.Receive(s.batch(2)); err != nil {
				k.Fatal(err)
			}
			s.want(k, tt.first, tt.last)
		}
		for range 3 {
			err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(s.batch(2)) }))
			if err == nil || errors.Is(err, net.ErrClosed) {
				k.Fatalf("a hung-up kernel is %v", err)
			}
			if k.conn.TryReceive(s.batch(2)) == nil {
				k.Fatal("TryReceive does not notice")
			}
			if k.conn.Request(Message{Type: queueConfig}) == nil {
				k.Fatal("Request does not notice")
			}
		}
	})
}

func TestPanicInTakeLeavesTheConnUsable(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 2)
		func() {
			defer func() { _ = recover() }()
			k.conn.Receive(NewBatch(1, 256, func(Message, error) { panic("take") }))
			k.Error("take was not called")
		}()
		ctx, cancel := context.WithTimeout(k.Context(), testkit.Patience)
		defer cancel()
		r := k.conn.Receiver(ctx)
		defer r.Close()
		if err := r.Receive(s.batch(1)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 2, 2)
	})
}
