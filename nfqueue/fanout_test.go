package nfqueue_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

func TestRangeOfQueuesMustBeOfNumbers(t *testing.T) {
	for _, c := range []struct {
		first uint16
		n     int
	}{{0, 0}, {0, -1}, {0, 65537}, {65535, 2}, {1, 65536}} {
		qs, err := nfqueue.OpenRange(nfqueue.Config{Queue: c.first}, c.n)
		if err == nil || qs != nil || !strings.Contains(err.Error(), "65535") {
			t.Errorf("%d queues from %d on: %v", c.n, c.first, err)
		}
	}
}

func TestNumbersOfQueuesMustBeDifferent(t *testing.T) {
	for says, c := range map[string]struct {
		first   uint16
		numbers []uint16
	}{
		"no queues":             {},
		"queue 9 twice":         {0, []uint16{9, 7, 9}},
		"Config.Queue is 7":     {7, []uint16{9, 7}},
		"the first of the numb": {7, []uint16{9}},
	} {
		qs, err := nfqueue.OpenQueues(nfqueue.Config{Queue: c.first}, c.numbers...)
		if err == nil || qs != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d: got %v, want an error with %q", c.numbers, err, says)
		}
	}
}

func TestRangeOfQueuesIsRefusedLikeOneQueue(t *testing.T) {
	for says, cfg := range wrong {
		if qs, err := nfqueue.OpenRange(cfg, 2); err == nil || qs != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one with %q", err, says)
		}
	}
}

// openSeveral returns queues from number 7 on, and their kernels.
func openSeveral(t *testing.T, cfg nfqueue.Config, n int) (*nfqueue.Queues, []*nfqueuetest.Kernel) {
	t.Helper()
	var queues []*nfqueue.Queue
	var kernels []*nfqueuetest.Kernel
	for i := range n {
		cfg.Queue = uint16(7 + i)
		q, k := nfqueuetest.Open(t, cfg)
		queues, kernels = append(queues, q), append(kernels, k)
	}
	return nfqueue.QueuesOf(queues...), kernels
}

// How a Run ended: with a panic, an error, or not at all.
type runEnd struct {
	recovered any
	err       error
	returned  bool
}

// runAll runs h on all queues in the background.
func runAll(qs *nfqueue.Queues, h nfqueue.Handler) <-chan runEnd {
	ended := make(chan runEnd, 1)
	go func() {
		var e runEnd
		defer func() {
			e.recovered = recover()
			ended <- e
		}()
		e.err = qs.Run(context.Background(), h)
		e.returned = true
	}()
	return ended
}

// Who calls Run of several queues can recover as from Run of one, after all
// queues have ended.
func TestPanicInOneOfSeveralQueuesIsTheCallers(t *testing.T) {
	qs, k := openSeveral(t, nfqueue.Config{Fallback: fallback}, 3)
	ended := runAll(qs, func(p *nfqueue.Packet) nfqueue.Verdict {
		if data(p.Payload) == "bad" {
			panic(io.ErrUnexpectedEOF)
		}
		return nfqueue.Accept()
	})
	wantVerdict(t, k[0], k[0].Enqueue(packet("good")), nfqueue.Accept())
	wantVerdict(t, k[1], k[1].Enqueue(packet("bad")), fallback)
	e := testkit.Next(t, ended)
	var p *nfqueue.PanicError
	err, _ := e.recovered.(error)
	if !errors.As(err, &p) || !errors.Is(err, io.ErrUnexpectedEOF) || p.Value != io.ErrUnexpectedEOF || e.returned {
		t.Fatalf("it ended with %+v", e)
	}
	if !strings.Contains(err.Error(), "unexpected EOF") || !strings.Contains(err.Error(), "TestPanicInOneOfSeveralQueuesIsTheCallers") {
		t.Errorf("it does not say what panicked where: %v", err)
	}
	ended = runAll(qs, accept) // nobody else receives
	wantVerdict(t, k[2], k[2].Enqueue(packet("good")), nfqueue.Accept())
	if err := qs.Close(); err != nil {
		t.Error(err)
	}
	if e := testkit.Next(t, ended); !errors.Is(e.err, net.ErrClosed) {
		t.Errorf("a second Run: %+v", e)
	}
}

func TestPanicWaitsForTheHandlersOfOtherQueues(t *testing.T) {
	qs, k := openSeveral(t, nfqueue.Config{Fallback: fallback}, 2)
	blocked, release := make(chan struct{}), make(chan struct{})
	ended := runAll(qs, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Queue == 8 {
			panic("oops")
		}
		close(blocked)
		<-release
		return nfqueue.Accept()
	})
	slow := k[0].Enqueue(packet("slow"))
	testkit.Next(t, blocked)
	wantVerdict(t, k[1], k[1].Enqueue(packet("bad")), fallback)
	select {
	case e := <-ended:
		t.Errorf("Run left a handler behind: %+v", e)
	case <-time.After(10 * time.Millisecond):
	}
	close(release)
	wantVerdict(t, k[0], slow, nfqueue.Accept())
	if p, ok := testkit.Next(t, ended).recovered.(*nfqueue.PanicError); !ok || p.Value != "oops" {
		t.Errorf("recovered %v", p)
	}
}

func TestPanicWithSomethingElseThanAnError(t *testing.T) {
	qs, k := openSeveral(t, nfqueue.Config{}, 2)
	ended := runAll(qs, func(*nfqueue.Packet) nfqueue.Verdict { panic("oops") })
	k[0].Enqueue(packet("x"))
	p, ok := testkit.Next(t, ended).recovered.(*nfqueue.PanicError)
	if !ok || p.Value != "oops" || p.Unwrap() != nil || !strings.Contains(p.Error(), "oops") {
		t.Errorf("recovered %v", p)
	}
}

func TestGoexitInOneOfSeveralQueuesIsTheCallers(t *testing.T) {
	qs, k := openSeveral(t, nfqueue.Config{Fallback: fallback}, 2)
	ended := runAll(qs, func(*nfqueue.Packet) nfqueue.Verdict {
		runtime.Goexit()
		panic("unreachable")
	})
	wantVerdict(t, k[1], k[1].Enqueue(packet("x")), fallback)
	if e := testkit.Next(t, ended); e.returned || e.recovered != nil {
		t.Errorf("it ended with %+v", e)
	}
}

func TestSeveralQueuesAreConfigured(t *testing.T) {
	qs, k := openSeveral(t, nfqueue.Config{}, 3)
	if err := qs.Configure(nfqueue.Config{Queue: 7, CopyRange: 28}); err != nil {
		t.Fatal(err)
	}
	h, got := lengths()
	ended := runAll(qs, h)
	for i := range k {
		k[i].Enqueue(packet("long"))
		if n := testkit.Next(t, got); n != 28 {
			t.Errorf("queue %d delivers %d bytes", 7+i, n)
		}
		if c := qs.Queue(i).Config(); c.Queue != uint16(7+i) || c.CopyRange != 28 {
			t.Errorf("queue %d has number %d and range %d", 7+i, c.Queue, c.CopyRange)
		}
	}
	qs.Close()
	testkit.Next(t, ended)
}

// Either all are changed or none.
func TestSeveralQueuesAreConfiguredBackIfOneRefuses(t *testing.T) {
	qs, k := openSeveral(t, nfqueue.Config{CopyRange: 100, Owner: true}, 3)
	k[2].Refuse(func(nfnl.Message) error { return syscall.ENOMEM })
	err := qs.Configure(nfqueue.Config{Queue: 7, CopyRange: 28})
	if !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), "nfqueue 9") {
		t.Errorf("got %v", err)
	}
	for i := range k {
		if g := qs.Queue(i).Granted(); g.CopyRange != 100 {
			t.Errorf("queue %d has range %d", 7+i, g.CopyRange)
		}
		if c := qs.Queue(i).Config(); c.CopyRange != 100 || !c.Owner || c.Queue != uint16(7+i) {
			t.Errorf("queue %d has number %d, range %d, owner %v", 7+i, c.Queue, c.CopyRange, c.Owner)
		}
	}
	k[2].Refuse(nil)
	h, got := lengths()
	ended := runAll(qs, h)
	for i := range k {
		k[i].Enqueue(packet(strings.Repeat("x", 200)))
		if n := testkit.Next(t, got); n != 100 {
			t.Errorf("queue %d delivers %d bytes", 7+i, n)
		}
	}
	qs.Close()
	testkit.Next(t, ended)
}

func TestSeveralQueuesAreConfiguredByTheFirstsNumber(t *testing.T) {
	qs, _ := openSeveral(t, nfqueue.Config{}, 2)
	for says, cfg := range map[string]nfqueue.Config{"Config.Queue is 8": {Queue: 8}, "Config.CopyRange": {Queue: 7, CopyRange: 1, MetadataOnly: true}} {
		if err := qs.Configure(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one with %q", err, says)
		}
	}
	if c := qs.Queue(0).Granted(); c.CopyRange != 65531 {
		t.Errorf("the range is %d", c.CopyRange)
	}
}
