package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestShutdownCutShortSaysHowManyGotTheFallback(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback, Batch: 4})
	for range 10 {
		k.Enqueue(packet("x"))
	}
	entered, release := make(chan struct{}), make(chan struct{})
	ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID {
		case 1:
			return nfqueue.Accept()
		case 2:
			return nfqueue.Hold()
		}
		close(entered) // with 4 behind it, and 6 that wait
		<-release
		return nfqueue.Accept()
	})
	testkit.Next(t, entered)
	stop := errors.New("time is up")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(10*time.Millisecond, func() { cancel(stop) })
	err := q.Shutdown(ctx)
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "9 packets") {
		t.Errorf("got %v", err)
	}
	close(release)
	ended()
	wantVerdict(t, k, 1, nfqueue.Accept())
	for id := uint32(2); id <= 10; id++ {
		wantVerdict(t, k, id, fallback)
	}
	if n := q.Stats().Fallbacks; n != 9 {
		t.Errorf("%d fallbacks", n)
	}
}

func TestShutdownWithNobodyReceivingGivesTheFallback(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	for range 5 {
		k.Enqueue(packet("x"))
	}
	shutdown(t, q)
	for id := uint32(1); id <= 5; id++ {
		wantVerdict(t, k, id, fallback)
	}
	if n := q.Stats().Fallbacks; n != 5 {
		t.Errorf("%d fallbacks", n)
	}
}

// Run leaves its batch when Shutdown ends it, at whatever moment that is.
func TestShutdownCutShortCountsWhatRunLeavesBehind(t *testing.T) {
	const packets = 64
	for round := range 200 {
		q, k := open(t, nfqueue.Config{Fallback: fallback, Batch: packets / 2})
		for range packets {
			k.Enqueue(packet("x"))
		}
		begun := make(chan struct{}, packets)
		ended := running(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
			begun <- struct{}{}
			for start := time.Now(); time.Since(start) < time.Duration(round)*100*time.Nanosecond; {
			}
			return nfqueue.Accept()
		})
		testkit.Next(t, begun)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := q.Shutdown(ctx); !errors.Is(err, context.Canceled) && err != nil {
			t.Fatal(err)
		}
		ended()
		noneWait(t, k)
		fallbacks := uint64(0)
		for id := uint32(1); id <= packets; id++ {
			if k.Verdict(id).Equal(fallback) {
				fallbacks++
			}
		}
		if s := q.Stats(); s.Fallbacks != fallbacks {
			t.Fatalf("Stats.Fallbacks is %d, and %d packets got the fallback", s.Fallbacks, fallbacks)
		}
	}
}

// What SetVerdictAll decided before it was received does not get the fallback too.
func TestShutdownDoesNotCountWhatSetVerdictAllDecided(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	enqueue := func(n int) {
		for range n {
			k.Enqueue(packet("x"))
		}
	}
	enqueue(5)
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	enqueue(3)
	shutdown(t, q)
	for id := uint32(1); id <= 8; id++ {
		wantVerdict(t, k, id, map[bool]nfqueue.Verdict{true: nfqueue.Accept(), false: fallback}[id <= 5])
	}
	if s := q.Stats(); s.Fallbacks != 3 || s.Accepted+s.Dropped+s.Stopped != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestShutdownTwiceAtOnce(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback, Batch: 4})
	for range 100 {
		k.Enqueue(packet("x"))
	}
	ended := running(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID%10 == 0 {
			return nfqueue.HoldFor(5*time.Millisecond, nfqueue.Accept())
		}
		return nfqueue.Accept()
	})
	var both sync.WaitGroup
	for range 3 {
		both.Go(func() { shutdown(t, q) })
	}
	both.Wait()
	ended()
	for id := uint32(1); id <= 100; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	shutdown(t, q) // once more
}

func TestCloseEndsShutdown(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	k.Enqueue(packet("x"))
	ended := running(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Hold() })
	testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
	time.AfterFunc(10*time.Millisecond, func() { q.Close() })
	if err := q.Shutdown(context.Background()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	ended()
}

func TestShutdownOfAClosedQueue(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	q.Close()
	var none *nfqueue.Queue
	var noQueues *nfqueue.Queues
	var zero nfqueue.Queue
	ctx := context.Background()
	if err := errors.Join(q.Shutdown(ctx), none.Shutdown(ctx), zero.Shutdown(ctx), noQueues.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
}
