package engine

import (
	"context"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// TestOneOfTwoReceiversIsCancelled holds what a deadline alone gets wrong: one
// receiver spun, and the other did not return.
func TestOneOfTwoReceiversIsCancelled(t *testing.T) {
	for _, which := range []string{"the one in the kernel", "the one behind it"} {
		t.Run(which, func(t *testing.T) {
			settling(t, func(k *kernel) {
				var s seen
				ctx, cancel := context.WithCancelCause(k.Context())
				r := k.conn.Receiver(ctx)
				defer r.Close()
				cancelled := func() error { return r.Receive(s.batch(8)) }
				other := func() error { return k.conn.Receive(s.batch(8)) }

				first, second := cancelled, other
				if which == "the one behind it" {
					first, second = other, cancelled
				}
				gotFirst := testkit.Background(first)
				k.parked()
				gotSecond := testkit.Background(second)
				k.settle()
				gotCancelled, gotOther := gotFirst, gotSecond
				if which == "the one behind it" {
					gotCancelled, gotOther = gotSecond, gotFirst
				}

				cancel(errCause)
				if err := testkit.Next(k, gotCancelled); err != errCause {
					k.Fatal(err)
				}
				k.parked()
				time.Sleep(20 * time.Millisecond) // the time to spin
				if n := k.counts.waits.Load(); n > 2 {
					k.Errorf("two receivers have called the kernel %d times", n)
				}
				k.packets(1, 1)
				if err := testkit.Next(k, gotOther); err != nil {
					k.Fatal(err)
				}
				s.want(k, 1, 1)
			})
		})
	}
}

func TestManyReceiversShareWhatComes(t *testing.T) {
	overTransports(t, func(k *kernel) {
		const receivers, packets = 4, 2000
		var s seen
		ctx, cancel := context.WithCancelCause(k.Context())
		var ends []<-chan error
		for range receivers {
			ends = append(ends, testkit.Background(func() error {
				r := k.conn.Receiver(ctx)
				defer r.Close()
				b := s.batch(3)
				for {
					if err := r.Receive(b); err != nil {
						return err
					}
				}
			}))
		}
		k.packets(1, packets)
		for end := time.Now().Add(testkit.Patience); ; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			n := len(s.ids)
			s.mu.Unlock()
			if n >= packets {
				break
			}
			if time.Now().After(end) {
				k.Fatalf("%d of %d packets came", n, packets)
			}
		}
		cancel(errCause)
		for _, end := range ends {
			if err := testkit.Next(k, end); err != errCause {
				k.Error(err)
			}
		}
		s.want(k, 1, packets) // in order
	})
}
