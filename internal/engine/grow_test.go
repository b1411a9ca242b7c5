package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// longPacket is a datagram of n bytes with one packet in it.
func longPacket(n int) []byte {
	return wire(nlmsg(uint32(n), 0x0300, 0, 0, 0), nfgen(2, 5), make([]byte, n-20))
}

// sizes is what a take saw, as lengths of attributes; -1 is for an error.
type sizes struct {
	mu  sync.Mutex
	all []int
}

func (s *sizes) take(m Message, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.all = append(s.all, -1)
		return
	}
	s.all = append(s.all, len(m.Attrs))
}

// want fails the test unless these messages were seen.
func (s *sizes) want(k *kernel, want ...int) {
	k.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.all, want) {
		k.Errorf("messages of %v bytes, want %v", s.all, want)
	}
}

func TestReceiverThatWaitsGetsTheRoom(t *testing.T) {
	settling(t, func(k *kernel) {
		var s sizes
		b := NewBatch(2, 256, s.take)
		received := testkit.Background(func() error { return k.conn.Receive(b) })
		k.parked()
		if err := k.conn.GrowBuffers(5000); err != nil {
			k.Fatal(err)
		}
		k.deliver(longPacket(5000)) // the kernel may at once
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 4980)
	})
}

func TestAllReceiversGetTheRoom(t *testing.T) {
	settling(t, func(k *kernel) {
		const receivers = 4
		var s sizes
		ctx, cancel := context.WithCancelCause(k.Context())
		var ends []<-chan error
		for range receivers {
			ends = append(ends, testkit.Background(func() error {
				r := k.conn.Receiver(ctx)
				defer r.Close()
				for b := NewBatch(1, 256, s.take); ; {
					if err := r.Receive(b); err != nil {
						return err
					}
				}
			}))
		}
		k.parked()
		k.settle()
		for _, size := range []int{5000, 5000, 9000, 100} { // what is less changes nothing
			if err := k.conn.GrowBuffers(size); err != nil {
				k.Fatal(err)
			}
		}
		var want []int
		for range 5 * receivers {
			k.deliver(longPacket(9000))
			want = append(want, 8980)
		}
		for end := time.Now().Add(testkit.Patience); ; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			n := len(s.all)
			s.mu.Unlock()
			if n == len(want) || time.Now().After(end) {
				break
			}
		}
		cancel(errCause)
		for _, end := range ends {
			if err := testkit.Next(k, end); err != errCause {
				k.Error(err)
			}
		}
		s.want(k, want...)
		if n := k.counts.waits.Load(); n > 100 {
			k.Errorf("the receivers called the kernel %d times", n)
		}
	})
}

func TestGrowBuffersWithNobodyReceiving(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s sizes
		b := NewBatch(1, 256, s.take)
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.GrowBuffers(5000) })); err != nil {
			k.Fatal(err)
		}
		k.deliver(longPacket(5000))
		if err := k.conn.TryReceive(b); err != nil {
			k.Fatal(err)
		}
		k.deliver(longPacket(5001))
		if err := k.conn.TryReceive(b); err != nil {
			k.Fatal(err)
		}
		s.want(k, 4980, -1) // one byte too long
	})
}

// A batch that has room keeps its buffers.
func TestBuffersOnlyGrow(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s sizes
		b := NewBatch(1, 9000, s.take)
		if err := k.conn.GrowBuffers(5000); err != nil {
			k.Fatal(err)
		}
		before := &b.slots[0].buf[0]
		k.deliver(longPacket(9000))
		if err := k.conn.Receive(b); err != nil {
			k.Fatal(err)
		}
		s.want(k, 8980)
		if &b.slots[0].buf[0] != before {
			k.Error("it got other buffers")
		}
	})
}

func TestDeadlineOutlivesGrowBuffers(t *testing.T) {
	settling(t, func(k *kernel) {
		var s sizes
		received := testkit.Background(func() error { return k.conn.Receive(NewBatch(1, 256, s.take)) })
		k.parked()
		end := time.Now().Add(50 * time.Millisecond)
		k.conn.SetReadDeadline(end)
		if err := k.conn.GrowBuffers(5000); err != nil {
			k.Fatal(err)
		}
		if err := testkit.Next(k, received); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(end) {
			k.Errorf("%v, %v before the deadline", err, time.Until(end))
		}
	})
}

func TestGrowBuffersOfAClosedConn(t *testing.T) {
	settling(t, func(k *kernel) {
		<-k.conn.token // somebody has it who does not wait in the kernel
		grown := testkit.Background(func() error { return k.conn.GrowBuffers(5000) })
		k.settle()
		k.conn.Close()
		if err := testkit.Next(k, grown); !errors.Is(err, net.ErrClosed) {
			k.Errorf("closed meanwhile: %v", err)
		}
		if err := k.conn.GrowBuffers(6000); !errors.Is(err, net.ErrClosed) {
			k.Errorf("closed before: %v", err)
		}
	})
}

// Receivers are cancelled, deadlines are set and packets come while buffers
// grow: every packet is whole and seen once, in order.
func TestGrowBuffersAmidEverything(t *testing.T) {
	overTransports(t, func(k *kernel) {
		const packets = 1000
		var s seen
		ctx, cancel := context.WithCancelCause(k.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					short, stop := context.WithTimeout(ctx, time.Millisecond)
					r := k.conn.Receiver(short)
					for b := s.batch(3); r.Receive(b) == nil; {
					}
					r.Close()
					stop()
				}
			})
		}
		wg.Go(func() {
			for size := 300; ctx.Err() == nil && size < 3000; size += 10 {
				if err := k.conn.GrowBuffers(size); err != nil {
					k.Error(err)
				}
			}
		})
		wg.Go(func() { k.packets(1, packets) })
		for end := time.Now().Add(testkit.Patience); ; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			n := len(s.ids)
			s.mu.Unlock()
			if n >= packets || time.Now().After(end) {
				break
			}
		}
		cancel(nil)
		wg.Wait()
		s.want(k, 1, packets)
	})
}

func TestBufferEmptiesTheSocket(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 5)
		if err := k.conn.Buffer(); err != nil {
			k.Fatal(err)
		}
		// The socket is empty, but for the answer that keeps it readable.
		probe := NewBatch(8, 256, func(Message, error) {})
		if err := k.conn.t.receive(probe, false); err != nil || probe.n != 1 || probe.deliver(k.conn) != 0 {
			k.Errorf("%d datagrams are still there, %v", probe.n, err)
		}
		k.packets(6, 8)
		for _, tt := range []struct {
			receive     func(*Batch) error
			first, last uint32
		}{{k.conn.Receive, 1, 4}, {k.conn.TryReceive, 5, 5}, {k.conn.Receive, 6, 8}} {
			if err := tt.receive(s.batch(4)); err != nil {
				k.Fatal(err)
			}
			s.want(k, tt.first, tt.last)
		}
	})
}

func TestBufferLeavesPacketsToAReceiver(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		if err := k.conn.Buffer(); err != nil {
			k.Fatal(err)
		}
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
		k.conn.Close()
		if err := k.conn.Buffer(); !errors.Is(err, net.ErrClosed) {
			k.Error(err)
		}
	})
}
