package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// What came before Seal is handed out, what comes later is not until Unseal.
func TestSealedConnBringsWhatCameBefore(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 5)
		if err := k.conn.Seal(); err != nil {
			k.Fatal(err)
		}
		k.packets(6, 7)
		if k.conn.Idle() {
			k.Error("idle with packets to hand out")
		}
		if err := k.conn.Receive(s.batch(8)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 5)
		if !k.conn.Idle() {
			k.Error("not idle, with all handed out")
		}
		// A Seal that had to look several times has left as many answers, which take room.
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(64)) })
		time.Sleep(5 * time.Millisecond)
		s.want(k, 1, 0)
		k.conn.Unseal()
		if err := testkit.Next(k, received); err != nil {
			k.Error(err)
		}
		s.want(k, 6, 7)
	})
}

// A Receive that waits in the kernel when Seal is called gets nothing later.
func TestSealCallsTheReceiveThatWaitsBack(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		ctx, cancel := context.WithCancel(t.Context())
		received := testkit.Background(func() error { return k.conn.Receiver(ctx).Receive(s.batch(8)) })
		k.parked()
		if err := k.conn.Seal(); err != nil {
			k.Fatal(err)
		}
		k.packets(1, 2)
		for end := time.Now().Add(testkit.Patience); !k.conn.Idle(); { // else it is just looking whether it may
			if time.Now().After(end) {
				k.Fatal("somebody still reads the socket")
			}
		}
		cancel()
		if err := testkit.Next(k, received); err != context.Canceled {
			k.Error(err)
		}
		s.want(k, 1, 0)
	})
}

func TestReceiveOnASealedConnEnds(t *testing.T) {
	overTransports(t, func(k *kernel) {
		if err := k.conn.Seal(); err != nil {
			k.Fatal(err)
		}
		var s seen
		if err := k.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			k.Fatal(err)
		}
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })); !errors.Is(err, os.ErrDeadlineExceeded) {
			k.Errorf("at its deadline: %v", err)
		}
		if err := k.conn.SetReadDeadline(time.Time{}); err != nil {
			k.Fatal(err)
		}
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		time.Sleep(time.Millisecond)
		k.conn.Close()
		if err := testkit.Next(k, received); !errors.Is(err, net.ErrClosed) {
			k.Errorf("at Close: %v", err)
		}
	})
}

// Datagrams that a Request took off the socket keep it readable, and what does so
// shows nowhere.
func TestKeptDatagramsKeepTheSocketReadable(t *testing.T) {
	overTransports(t, func(k *kernel) {
		for name, ask := range map[string]func() error{
			"Request": func() error { return k.conn.Request(config(5)) },
			"Buffer":  k.conn.Buffer,
		} {
			var s seen
			k.packets(1, 3)
			if err := ask(); err != nil {
				k.Fatal(err)
			}
			if !k.readable() {
				k.Errorf("after %s nobody who polls sees the packets", name)
			}
			b := s.batch(2)
			for range 3 {
				if err := k.conn.TryReceive(b); err != nil {
					k.Fatal(err)
				}
			}
			s.want(k, 1, 3)
			if k.readable() {
				k.Errorf("after %s, and when all was received, there is something to read", name)
			}
		}
	})
}

// readable reports whether there is something to read.
func (m *memory) readable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiting) > 0
}

func TestReceiverNeedsAContext(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		var none context.Context
		r := k.conn.Receiver(none)
		defer r.Close()
		if err := r.Receive(s.batch(1)); !errors.Is(err, errNoContext) {
			k.Errorf("got %v", err)
		}
	})
}

func TestBatchUsedTwiceAtOnceIsAnError(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		b := s.batch(4)
		received := testkit.Background(func() error { return k.conn.Receive(b) })
		k.parked()
		for name, receive := range map[string]func(*Batch) error{"Receive": k.conn.Receive, "TryReceive": k.conn.TryReceive} {
			if err := receive(b); !errors.Is(err, errBatchInUse) {
				k.Errorf("%s: %v", name, err)
			}
		}
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Error(err)
		}
		s.want(k, 1, 1)
	})
}

// A flooding is a transport on which packets come faster than anybody reads.
type flooding struct{ transport }

func (f flooding) receive(b *Batch, wait bool) error {
	b.slots[0].got, b.n = append(b.slots[0].buf[:0], packet(1)...), 1
	return nil
}

// A Request whose answer was lost gives up looking for it, however many packets
// come, and asks again.
func TestLostAnswerIsNotLookedForForEver(t *testing.T) {
	k := &kernel{T: t}
	asked := make(chan struct{}, 10)
	inner, peer := newMemory(func([]byte) error {
		asked <- struct{}{}
		return nil
	})
	k.start(flooding{inner}, peer)
	k.conn.pipeBuffer = 1 << 30 // only time bounds it
	requested := testkit.Background(func() error { return k.conn.Request(config(5)) })
	for range 2 {
		select {
		case <-asked:
		case <-time.After(testkit.Patience):
			t.Fatal("it does not ask again")
		}
	}
	k.conn.Close()
	if err := testkit.Next(k, requested); err == nil || errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
}

// A fullSocket is one of which it is known how much is on it.
type fullSocket struct{ flooding }

func (fullSocket) queued() int { return 100 * leastCost }

// The answer to Seal found no room on the socket, and packets come faster than anybody
// reads: what was there before is kept, and not all that comes.
func TestSealEndsWhenItsAnswerIsLost(t *testing.T) {
	inner, peer := newMemory(func([]byte) error { return nil })
	defer peer.Close()
	c := newConn(fullSocket{flooding{inner}})
	defer c.Close()
	if err := c.Seal(); err != nil {
		t.Error(err)
	}
	if n := c.Buffered(); n < 100 || n > 200 {
		t.Errorf("%d datagrams are kept", n)
	}
}

// A TryReceive on a sealed Conn brings what is kept, and after End nothing.
func TestTryReceiveOnASealedConn(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 2)
		if err := k.conn.Seal(); err != nil {
			k.Fatal(err)
		}
		k.packets(3, 3)
		b := s.batch(1)
		for range 3 {
			if err := k.conn.TryReceive(b); err != nil {
				k.Fatal(err)
			}
		}
		s.want(k, 1, 2)
		if err := errors.Join(k.conn.Request(config(5)), k.conn.End()); err != nil { // which keeps packet 3
			k.Fatal(err)
		}
		if err := k.conn.TryReceive(b); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 0)
		if err := k.conn.Rest(b); err != nil {
			k.Fatal(err)
		}
		s.want(k, 3, 3)
	})
}

// Seal keeps all that came before it, which is a finite number. Requests beside it do
// not, or a flood would make it more and more.
func TestOnlySealKeepsMoreThanTheReceiveBufferHolds(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.conn.pipeBuffer = keepFew
		k.packets(1, 40)
		if err := k.conn.Seal(); err != nil {
			k.Fatal(err)
		}
		if n := k.conn.Buffered(); n != 40 {
			k.Fatalf("%d of 40 datagrams are kept", n)
		}
		k.packets(41, 50)
		if err := k.conn.Request(config(5)); !errors.Is(err, errUnread) {
			k.Errorf("a Request without room: %v", err)
		}
		if n := k.conn.Buffered(); n != 40 {
			k.Errorf("a Request without room keeps %d datagrams", n-40)
		}
		var s seen
		for b := s.batch(8); len(s.ids) < 40; {
			if err := k.conn.Receive(b); err != nil {
				k.Fatal(err)
			}
		}
		s.want(k, 1, 40)
	})
}
