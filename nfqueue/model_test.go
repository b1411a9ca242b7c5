package nfqueue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// This is the model of a queue: random interleavings of Runs, Receive loops,
// tickets, deadlines, Configure, sends that fail and the ways to end. Each packet
// has one verdict, the one that was given, or the fallback where something failed.
// They have it in the order in which verdicts were given, and none is left.

// modelPackets are enqueued in one interleaving.
const modelPackets = 200

// A giving is the moment in which a verdict was given: began is before it, and
// ended when it was over, on the clock of the model.
type giving struct {
	began, ended int
	run          int // of the handler that returned it, or 0: a ticket's
}

// An interleaving is one run of the model.
type interleaving struct {
	t    *testing.T
	seed uint64
	q    *nfqueue.Queue
	k    *nfqueuetest.Kernel
	cfg  nfqueue.Config

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	clock   int
	given   map[uint32]giving // in order: not those that expire
	held    []nfqueue.Ticket
	unsent  map[uint32]int  // when the verdict on a packet of a loop's batch was given by ticket; 0 is not yet
	refused map[uint32]bool // by the kernel
	trouble bool            // a send failed: some packets get the fallback
}

// verdictOf is what everybody says of a packet: rows of equal verdicts, so that
// one for a range could reach too far.
func verdictOf(id uint32) nfqueue.Verdict {
	return nfqueue.Accept().WithMark(id / 6 % 3)
}

// tick returns the time.
func (x *interleaving) tick() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clock++
	return x.clock
}

// chance is true once in n times.
func (x *interleaving) chance(n int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rng.IntN(n) == 0
}

// gave notes that a verdict was given.
func (x *interleaving) gave(id uint32, g giving) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.given[id] = g
}

// gaveByTicket notes that a verdict was given by ticket: in a batch of a loop that is
// Send's to give.
func (x *interleaving) gaveByTicket(id uint32, began int) {
	ended := x.tick()
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, unsent := x.unsent[id]; unsent {
		x.unsent[id] = began
		return
	}
	x.given[id] = giving{began: began, ended: ended}
}

// receives notes the packets of a loop's batch.
func (x *interleaving) receives(packets []nfqueue.Packet) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range packets {
		x.unsent[packets[i].ID] = 0
	}
}

// sends notes that Send was called for them, and gave what tickets had answered.
func (x *interleaving) sends(packets []nfqueue.Packet, n int) {
	ended := x.tick()
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range packets {
		id := packets[i].ID
		if began := x.unsent[id]; began > 0 {
			x.given[id] = giving{began, ended, n}
		}
		delete(x.unsent, id)
	}
}

// hold keeps a ticket for whoever decides on it.
func (x *interleaving) hold(t nfqueue.Ticket) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held = append(x.held, t)
}

// release decides on one of the held packets, if there is one.
func (x *interleaving) release() bool {
	x.mu.Lock()
	if len(x.held) == 0 {
		x.mu.Unlock()
		return false
	}
	i := x.rng.IntN(len(x.held))
	ticket := x.held[i]
	x.held = append(x.held[:i], x.held[i+1:]...)
	x.mu.Unlock()
	began := x.tick()
	switch err := ticket.SetVerdict(verdictOf(ticket.ID())); {
	case err == nil:
		x.gaveByTicket(ticket.ID(), began)
	case errors.Is(err, errSend):
		x.hold(ticket) // it waits still
	case !errors.Is(err, nfqueue.ErrDecided) && !errors.Is(err, net.ErrClosed):
		x.t.Errorf("seed %d: SetVerdict: %v", x.seed, err)
	}
	return true
}

// interleave plays one interleaving.
func interleave(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := &interleaving{t: t, seed: seed, rng: rng, given: map[uint32]giving{}, refused: map[uint32]bool{}, unsent: map[uint32]int{}}
	x.cfg = nfqueue.Config{
		Fallback: fallback, Batch: []int{0, 1, 4, 16}[rng.IntN(4)], RangeVerdicts: rng.IntN(2) == 0,
		FlushAfter: []time.Duration{0, 1, time.Hour}[rng.IntN(3)],
	}
	x.q, x.k = open(t, x.cfg)
	failing, end := rng.IntN(2) == 0, rng.IntN(10)
	if failing {
		x.fail()
	}
	x.play(1+rng.IntN(2), rng.IntN(2), func() { x.end(end) })
	x.check(end < 2)
	if left := x.k.Waiting(); len(left) > 0 && end != 0 {
		t.Errorf("seed %d: %v have no verdict", seed, left)
	}
	if s := x.q.Stats(); s.Held != 0 || s.Lost != 0 || s.Malformed != 0 {
		t.Errorf("seed %d: stats %+v", seed, s)
	}
}

// play lets everybody loose, and calls end once all packets are enqueued.
func (x *interleaving) play(runs, loops int, end func()) {
	var receivers, others sync.WaitGroup
	stop := make(chan struct{})
	for n := range runs {
		receivers.Go(func() { x.runs(n + 1) })
	}
	for n := range loops {
		receivers.Go(func() { x.loop(runs + n + 1) })
	}
	every := func(f func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Microsecond):
					f()
				}
			}
		})
	}
	every(func() { x.release() })
	every(func() { x.release() })
	every(func() {
		cfg := x.cfg
		cfg.Queue, cfg.CopyRange = 7, uint32(1000+x.tick()%500)
		if err := x.q.Configure(cfg); err != nil && !errors.Is(err, net.ErrClosed) {
			x.t.Errorf("seed %d: Configure: %v", x.seed, err)
		}
	})
	for range modelPackets {
		x.k.Enqueue(packet("x"))
		if x.chance(20) {
			time.Sleep(50 * time.Microsecond)
		}
	}
	end()
	receivers.Wait()
	close(stop)
	others.Wait()
}

// end ends the queue in one of the ways there are.
func (x *interleaving) end(how int) {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	switch how {
	case 0:
		x.q.Close()
		return
	case 1:
		short, cancel := context.WithTimeout(ctx, 500*time.Microsecond)
		defer cancel()
		if err := x.q.Shutdown(short); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			x.t.Errorf("seed %d: Shutdown cut short: %v", x.seed, err)
		}
		return
	}
	if err := x.q.Shutdown(ctx); err != nil {
		x.t.Errorf("seed %d: Shutdown: %v", x.seed, err)
	}
}

func TestModel(t *testing.T) {
	rounds := uint64(40)
	if testing.Short() {
		rounds = 10
	}
	base := rand.Uint64N(1 << 32)
	for i := range rounds {
		t.Run(fmt.Sprint(base+i), func(t *testing.T) {
			interleave(t, base+i)
		})
	}
}
