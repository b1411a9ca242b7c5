package engine

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// wantClosed fails unless every method says that the Conn is closed.
func wantClosed(k *kernel) {
	k.Helper()
	b := new(seen).batch(1)
	ctx, cancel := context.WithCancel(k.Context())
	defer cancel()
	r := k.conn.Receiver(ctx)
	defer r.Close()
	for _, call := range []struct {
		name string
		f    func() error
	}{
		{"Receive", func() error { return k.conn.Receive(b) }},
		{"TryReceive", func() error { return k.conn.TryReceive(b) }},
		{"Receiver.Receive", func() error { return r.Receive(b) }},
		{"Send", func() error { return k.conn.Send(goldenBind) }},
		{"Request", func() error { return k.conn.Request(Message{}) }},
		{"SetReadDeadline", func() error { return k.conn.SetReadDeadline(time.Time{}) }},
	} {
		if err := testkit.Next(k, testkit.Background(call.f)); err != net.ErrClosed {
			k.Errorf("%s after Close: %v", call.name, err)
		}
	}
}

func TestEverythingFailsAfterClose(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.packets(1, 1)
		if err := k.conn.Close(); err != nil {
			k.Error(err)
		}
		if err := k.conn.Close(); err != nil {
			k.Error("closing twice:", err)
		}
		wantClosed(k)
	})
}

func TestCloseEndsEveryWait(t *testing.T) {
	settling(t, func(k *kernel) {
		ctx, cancel := context.WithCancel(k.Context())
		defer cancel()
		k.lose.Store(1)
		parked := testkit.Background(func() error { return k.conn.Receive(new(seen).batch(1)) })
		k.parked()
		behind := testkit.Background(func() error { return k.conn.Receive(new(seen).batch(1)) })
		k.settle()
		r := k.conn.Receiver(ctx)
		defer r.Close()
		cancellable := testkit.Background(func() error { return r.Receive(new(seen).batch(1)) })
		k.settle()
		request := testkit.Background(func() error { return k.conn.Request(Message{Type: queueConfig}) })
		k.settle()
		k.conn.Close()
		for _, err := range []error{testkit.Next(k, parked), testkit.Next(k, behind), testkit.Next(k, cancellable), testkit.Next(k, request)} {
			if err != net.ErrClosed {
				k.Error(err)
			}
		}
		wantClosed(k)
	})
}

func TestCloseFromTake(t *testing.T) {
	overTransports(t, func(k *kernel) {
		taken := 0
		b := NewBatch(8, 256, func(Message, error) {
			taken++
			k.conn.Close()
		})
		k.packets(1, 2)
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(b) })); err != nil {
			k.Error("what was received before Close:", err)
		}
		if taken != 2 {
			k.Errorf("%d packets of 2 were taken", taken)
		}
		wantClosed(k)
	})
}

// TestCloseDoesNotWaitForTake: who holds the token may be slow to give it back.
func TestCloseDoesNotWaitForTake(t *testing.T) {
	settling(t, func(k *kernel) {
		entered, leave := make(chan bool), make(chan bool)
		slow := testkit.Background(func() error {
			return k.conn.Receive(NewBatch(1, 256, func(Message, error) {
				close(entered)
				<-leave
			}))
		})
		k.packets(1, 1)
		<-entered
		k.lose.Store(1)
		receive := testkit.Background(func() error { return k.conn.Receive(new(seen).batch(1)) })
		k.settle()
		request := testkit.Background(func() error { return k.conn.Request(config(5)) })
		k.settle()
		k.conn.Close()
		for _, err := range []error{testkit.Next(k, receive), testkit.Next(k, request)} {
			if err != net.ErrClosed {
				k.Error(err)
			}
		}
		close(leave)
		if err := testkit.Next(k, slow); err != nil {
			k.Error("the one that had received:", err)
		}
	})
}

func TestCloseFromSend(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.answer = func(Message) syscall.Errno {
			k.conn.Close()
			return 0
		}
		k.lose.Store(1)
		err := testkit.Next(k, testkit.Background(func() error { return k.conn.Request(Message{Type: queueConfig}) }))
		if err != net.ErrClosed {
			k.Error(err)
		}
	})
}

func TestCloseWhileManyUseIt(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var ends []<-chan error
		for range 2 {
			b := new(seen).batch(4)
			ends = append(ends, testkit.Background(func() error {
				for {
					if err := k.conn.Receive(b); err != nil {
						return err
					}
				}
			}), testkit.Background(func() error {
				for {
					if err := k.conn.Request(Message{Type: queueConfig}); err != nil {
						return err
					}
				}
			}), testkit.Background(func() error {
				for {
					if err := k.conn.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
						return err
					}
					time.Sleep(100 * time.Microsecond) // leave the others some time
				}
			}))
		}
		for k.asked.Load() < 100 {
			time.Sleep(time.Millisecond)
		}
		k.conn.Close()
		for _, end := range ends {
			if err := testkit.Next(k, end); err != net.ErrClosed {
				k.Error(err)
			}
		}
	})
}
