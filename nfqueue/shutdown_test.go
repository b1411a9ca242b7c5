package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// running runs h until the queue is closed, and returns how to wait for that.
func running(t testing.TB, q *nfqueue.Queue, h nfqueue.Handler) (ended func()) {
	t.Helper()
	end := testkit.Background(func() error { return q.Run(context.Background(), h) })
	testkit.Await(t, "somebody receives", func() bool { return q.Receivers() > 0 })
	return func() {
		t.Helper()
		if err := testkit.Next(t, end); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
	}
}

// shutdown is q.Shutdown, which must return nil in time.
func shutdown(t testing.TB, q *nfqueue.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := q.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
}

// The backlog is decided by the handler, and not with one verdict for all.
func TestShutdownHandsOutWhatIsQueued(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback, Batch: 8})
	first := make(chan struct{})
	var once sync.Once
	for range 500 {
		k.Enqueue(packet("x"))
	}
	ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		once.Do(func() { <-first })
		return nfqueue.Accept().WithMark(p.ID)
	})
	time.AfterFunc(5*time.Millisecond, func() { close(first) })
	shutdown(t, q)
	ended()
	for id := uint32(1); id <= 500; id++ {
		wantVerdict(t, k, id, nfqueue.Accept().WithMark(id))
	}
	if n := q.Stats().Fallbacks; n != 0 {
		t.Errorf("%d fallbacks", n)
	}
}

// The rule may stay: what is queued later is not waited for, and gets the fallback.
func TestShutdownEndsThoughPacketsKeepComing(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	var stop atomic.Bool
	var last atomic.Uint32
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for !stop.Load() {
			if id := k.Enqueue(packet("x")); id != 0 {
				last.Store(id)
			}
			time.Sleep(10 * time.Microsecond)
		}
	})
	ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		time.Sleep(20 * time.Microsecond) // slower than they come
		return nfqueue.Accept()
	})
	testkit.Await(t, "a hundred packets came", func() bool { return last.Load() > 100 })
	before := last.Load()
	shutdown(t, q)
	ended()
	stop.Store(true)
	traffic.Wait()
	for id := uint32(1); id <= before; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	for id := before + 1; id <= last.Load(); id++ {
		if v, ok := decided(k, id); ok && !v.Equal(nfqueue.Accept()) && !v.Equal(fallback) {
			t.Errorf("packet %d, queued later, got %v", id, v)
		}
	}
}

// decided returns the verdict on a packet, and false if it still waits.
func decided(k *nfqueuetest.Kernel, id uint32) (nfqueue.Verdict, bool) {
	for _, w := range k.Waiting() {
		if w == id {
			return nfqueue.Verdict{}, false
		}
	}
	return k.Verdict(id), true
}

func TestShutdownWaitsForHeldPackets(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	k.Enqueue(packet("x"))
	k.Enqueue(packet("y"))
	tickets := make(chan nfqueue.Ticket, 2)
	ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 2 {
			return nfqueue.HoldFor(20*time.Millisecond, nfqueue.Stop())
		}
		tickets <- p.Ticket()
		return nfqueue.Hold()
	})
	ticket := testkit.Next(t, tickets)
	time.AfterFunc(10*time.Millisecond, func() {
		if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
			t.Error(err)
		}
	})
	shutdown(t, q)
	ended()
	wantVerdict(t, k, 1, nfqueue.Accept())
	wantVerdict(t, k, 2, nfqueue.Stop())
}

// A request keeps what it finds on the socket. Shutdown, which waits for that, would
// not end where somebody changes the configuration again and again.
func TestConfigureIsRefusedDuringShutdown(t *testing.T) {
	for name, end := range map[string]func(context.Context, *nfqueue.Queue) error{
		"Queue":  func(ctx context.Context, q *nfqueue.Queue) error { return q.Shutdown(ctx) },
		"Queues": func(ctx context.Context, q *nfqueue.Queue) error { return nfqueue.QueuesOf(q).Shutdown(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{})
			k.Enqueue(packet("x"))
			tickets := make(chan nfqueue.Ticket, 1)
			ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				tickets <- p.Ticket()
				return nfqueue.Hold()
			})
			ticket := testkit.Next(t, tickets)
			down := testkit.Background(func() error { return end(t.Context(), q) })
			testkit.Await(t, "Shutdown has begun", func() bool { return errors.Is(q.Configure(q.Config()), net.ErrClosed) })
			if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
				t.Error(err)
			}
			if err := testkit.Next(t, down); err != nil {
				t.Error(err)
			}
			ended()
			wantVerdict(t, k, 1, nfqueue.Accept())
		})
	}
}

// A held packet may wait for a later one of the same queue, such as the answer to
// a look-up.
func TestShutdownGoesOnWhileHeldPacketsWaitForLaterOnes(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	k.Enqueue(packet("x"))
	tickets := make(chan nfqueue.Ticket, 1)
	ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 1 {
			tickets <- p.Ticket()
			return nfqueue.Hold()
		}
		if err := (<-tickets).SetVerdict(nfqueue.Stop()); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept()
	})
	testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
	time.AfterFunc(20*time.Millisecond, func() { k.Enqueue(packet("answer")) })
	shutdown(t, q)
	ended()
	wantVerdict(t, k, 1, nfqueue.Stop())
	wantVerdict(t, k, 2, nfqueue.Accept())
}

// A Receive loop is given what is queued, also what a request took off the socket.
func TestReceiveLoopSeesWhatIsQueuedAtShutdown(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback, Batch: 4})
	for range 50 {
		k.Enqueue(packet("x"))
	}
	if err := q.Configure(nfqueue.Config{Queue: 7, Fallback: fallback, Batch: 4}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		b := q.NewBatch()
		for {
			if err := q.Receive(b); err != nil {
				ended <- err
				return
			}
			for i := range b.Verdicts {
				b.Verdicts[i] = nfqueue.Accept()
			}
			if err := q.Send(b); err != nil {
				ended <- err
				return
			}
			time.Sleep(time.Millisecond) // nobody receives meanwhile
		}
	}()
	shutdown(t, q)
	if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive returned %v", err)
	}
	for id := uint32(1); id <= 50; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
}

// What the kernel refuses of the last verdicts gets the fallback, and is reported.
func TestRefusalAtShutdownIsReported(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
	refuseVerdicts(k, 1, 1, syscall.EINVAL)
	entered, release := make(chan struct{}), make(chan struct{})
	k.Enqueue(packet("x"))
	ended := running(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		close(entered)
		<-release
		return nfqueue.Accept()
	})
	testkit.Next(t, entered)
	time.AfterFunc(10*time.Millisecond, func() { close(release) })
	shutdown(t, q)
	ended()
	wantVerdict(t, k, 1, fallback)
	nextPackets(t, reported, syscall.EINVAL, 1, 1)
	if n := q.Stats().Refused; n != 1 {
		t.Errorf("%d refused", n)
	}
}

// The first queue that is closed ends the Run of all: none is before all are empty.
func TestShutdownOfSeveralQueues(t *testing.T) {
	const queues, packets = 3, 200
	var qs []*nfqueue.Queue
	var ks []*nfqueuetest.Kernel
	for i := range queues {
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: uint16(i), Fallback: fallback, Batch: 4})
		for range packets * i {
			k.Enqueue(packet("x"))
		}
		qs, ks = append(qs, q), append(ks, k)
	}
	all := nfqueue.QueuesOf(qs...)
	ended := make(chan error, 1)
	go func() {
		ended <- all.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
			time.Sleep(20 * time.Microsecond)
			return nfqueue.Accept()
		})
	}()
	for _, q := range qs {
		testkit.Await(t, "somebody receives", func() bool { return q.Receivers() > 0 })
	}
	if err := all.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
	for i, k := range ks {
		for id := 1; id <= packets*i; id++ {
			wantVerdict(t, k, uint32(id), nfqueue.Accept())
		}
	}
}
