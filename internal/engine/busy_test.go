package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// forEver is a poll that ends only if somebody ends it.
const forEver = 24 * time.Hour

func TestPollFindsWhatComes(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.conn.SetBusyPoll(forEver)
		for id := uint32(1); id <= 100; id++ {
			received := k.background(func() error { return k.conn.Receive(s.batch(8)) })
			k.packets(id, id)
			if err := received(); err != nil {
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
		received := k.background(func() error { return k.conn.Receive(s.batch(8)) })
		time.Sleep(5 * time.Millisecond)
		k.packets(1, 1)
		if err := received(); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestDeadlineEndsAPoll(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.conn.SetBusyPoll(forEver)
		for name, set := range map[string]func(receive func() error) func() error{
			"before": func(receive func() error) func() error {
				k.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
				return k.background(receive)
			},
			"during": func(receive func() error) func() error {
				k.conn.SetReadDeadline(time.Time{})
				received := k.background(receive)
				time.Sleep(time.Millisecond)
				k.conn.SetReadDeadline(time.Now())
				return received
			},
		} {
			if err := set(func() error { return k.conn.Receive(s.batch(8)) })(); !errors.Is(err, os.ErrDeadlineExceeded) {
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
		received := k.background(func() error { return r.Receive(s.batch(8)) })
		time.Sleep(time.Millisecond)
		cancel(errCause)
		if err := received(); err != errCause {
			k.Error(err)
		}

		received = k.background(func() error { return k.conn.Receive(s.batch(8)) })
		time.Sleep(time.Millisecond)
		k.conn.Close()
		if err := received(); err != net.ErrClosed {
			k.Error(err)
		}
	})
}
