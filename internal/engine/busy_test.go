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

// forEver is a poll that ends only if somebody ends it.
const forEver = 24 * time.Hour

func TestPollFindsWhatComes(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.conn.SetBusyPoll(forEver)
		for id := uint32(1); id <= 100; id++ {
			received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
			k.packets(id, id)
			if err := testkit.Next(k, received); err != nil {
				k.Fatal(err)
			}
			s.want(k, id, id)
		}
	})
}

func TestPollIsFollowedByAWait(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.conn.SetBusyPoll(time.Microsecond)
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		time.Sleep(5 * time.Millisecond)
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestDeadlineEndsAPoll(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.conn.SetBusyPoll(forEver)
		for name, set := range map[string]func(receive func() error) <-chan error{
			"before": func(receive func() error) <-chan error {
				k.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
				return testkit.Background(receive)
			},
			"during": func(receive func() error) <-chan error {
				k.conn.SetReadDeadline(time.Time{})
				received := testkit.Background(receive)
				time.Sleep(time.Millisecond)
				k.conn.SetReadDeadline(time.Now())
				return received
			},
		} {
			if err := testkit.Next(k, set(func() error { return k.conn.Receive(s.batch(8)) })); !errors.Is(err, os.ErrDeadlineExceeded) {
				k.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestCancelAndCloseEndAPoll(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.conn.SetBusyPoll(forEver)
		ctx, cancel := context.WithCancelCause(k.Context())
		r := k.conn.Receiver(ctx)
		defer r.Close()
		received := testkit.Background(func() error { return r.Receive(s.batch(8)) })
		time.Sleep(time.Millisecond)
		cancel(errCause)
		if err := testkit.Next(k, received); err != errCause {
			k.Error(err)
		}

		received = testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		time.Sleep(time.Millisecond)
		k.conn.Close()
		if err := testkit.Next(k, received); err != net.ErrClosed {
			k.Error(err)
		}
	})
}
