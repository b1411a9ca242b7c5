//go:build linux

package faults

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A crowd is goroutines that do what they do again and again until it is sent
// home.
type crowd struct {
	home atomic.Bool
	wg   sync.WaitGroup
}

// join adds a goroutine.
func (c *crowd) join(f func()) {
	c.wg.Go(func() {
		for !c.home.Load() {
			f()
		}
	})
}

// leave sends all home and waits for them.
func (c *crowd) leave() {
	c.home.Store(true)
	c.wg.Wait()
}

// awaitCount waits until there are as many. It gives up when there has been none
// more for as long as tests have patience: a machine may be slow, above all an
// emulated one with a crowd, but no packet may be left where nobody gets it.
func awaitCount(t *testing.T, what string, want uint64, count func() uint64) {
	t.Helper()
	got, since := count(), time.Now()
	for got < want {
		time.Sleep(time.Millisecond)
		if n := count(); n > got {
			got, since = n, time.Now()
		}
		if time.Since(since) > testkit.Patience {
			t.Fatalf("gave up waiting: %d %s of %d, and none more in %v", got, what, want, testkit.Patience)
		}
	}
}

// unless reports an error, unless it is one of those that are all right.
func unless(t *testing.T, what string, err error, allowed ...error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, a := range allowed {
		if errors.Is(err, a) {
			return
		}
	}
	t.Errorf("%s: %v", what, err)
}

// A checker is handlers that answer in every way there is, and notes what they
// see: a packet that comes to two of them, or has two verdicts, is an error.
type checker struct {
	t       *testing.T
	rewrite bool     // packets can be rewritten here
	seen    sync.Map // of IDs
	tickets chan nfqueue.Ticket
}

func (c *checker) handle(p *nfqueue.Packet) nfqueue.Verdict {
	if _, twice := c.seen.LoadOrStore(p.ID, true); twice {
		c.t.Errorf("packet %d was handed out twice", p.ID)
	}
	switch p.ID % 5 {
	case 0:
		c.tickets <- p.Ticket()
		return nfqueue.Hold()
	case 1:
		unless(c.t, "SetVerdict in the handler", p.Ticket().SetVerdict(nfqueue.Accept()), net.ErrClosed)
		return nfqueue.Drop() // too late
	case 2:
		if c.rewrite {
			return nfqueue.Accept().WithPayload(p.Payload)
		}
	}
	return nfqueue.Accept()
}

// decide answers held packets, each from two goroutines, until there are no
// more tickets.
func (c *checker) decide() {
	for ticket := range c.tickets {
		first := testkit.Background(func() error { return ticket.SetVerdict(nfqueue.Accept()) })
		a, b := ticket.SetVerdict(nfqueue.Accept()), <-first
		unless(c.t, "SetVerdict", a, nfqueue.ErrDecided, net.ErrClosed)
		unless(c.t, "SetVerdict", b, nfqueue.ErrDecided, net.ErrClosed)
		if (a == nil) == (b == nil) && !errors.Is(a, net.ErrClosed) && !errors.Is(b, net.ErrClosed) {
			c.t.Errorf("packet %d: two verdicts returned %v and %v", ticket.ID(), a, b)
		}
	}
}

// besides does everything else that may be done with a queue.
func (c *checker) besides(q *nfqueue.Queue, others *crowd) {
	for i := range 2 {
		others.join(func() {
			cfg := q.Config()
			cfg.MaxLen, cfg.Owner = uint32(1000+i), i == 0
			unless(c.t, "Configure", q.Configure(cfg), net.ErrClosed)
		})
	}
	others.join(func() {
		q.Stats()
		_, err := q.KernelStats()
		unless(c.t, "KernelStats", err, net.ErrClosed, os.ErrPermission)
	})
	others.join(func() {
		l, err := q.Links()
		if err == nil {
			l.Name(1)
			err = l.Close()
		}
		unless(c.t, "Links", err, net.ErrClosed, os.ErrPermission)
	})
}

// Several Runs, tickets from many goroutines, Configure, Stats and Links, all at
// once under a flood: every packet goes to one handler and gets one verdict.
func TestEverythingAtOnce(t *testing.T) {
	const packets, runs, deciders = 1000, 3, 4
	for name, closed := range map[string]bool{"until all is decided": false, "Close in the middle": true} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
			later, err := l.Net.Chain(lab.IPv4, lab.Input, 10)
			testkit.Must(t, err)
			passed, err := later.Add(lab.UDP(9999))
			testkit.Must(t, err)
			c := &checker{t: t, rewrite: !endtoend.ForbidsRewrites(t), tickets: make(chan nfqueue.Ticket, 100)}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var ended []<-chan error
			for range runs {
				ended = append(ended, testkit.Background(func() error { return l.Queue.Run(ctx, c.handle) }))
			}
			var deciding sync.WaitGroup
			for range deciders {
				deciding.Go(c.decide)
			}
			var others crowd
			c.besides(l.Queue, &others)
			stop := endtoend.Flood(t, l.From)
			awaitCount(t, "packets", packets, func() uint64 { return l.Queue.Stats().Packets })

			want := context.Canceled
			if closed {
				want = net.ErrClosed
				testkit.Must(t, l.Queue.Close())
			}
			stop()
			if !closed {
				others.leave()
				awaitDecided(t, l.Queue, passed)
			}
			cancel()
			for _, e := range ended {
				if err := testkit.Next(t, e); !errors.Is(err, want) && !(closed && errors.Is(err, context.Canceled)) {
					t.Errorf("Run: %v, want %v", err, want)
				}
			}
			others.leave()
			close(c.tickets)
			deciding.Wait()
			if s := l.Queue.Stats(); s.Refused+s.Malformed+s.Fallbacks+s.Gone != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// awaitDecided waits until every packet that was handed over has passed.
func awaitDecided(t *testing.T, q *nfqueue.Queue, passed *lab.Rule) {
	t.Helper()
	testkit.Await(t, "as many packets have passed as were handed over", func() bool {
		before := q.Stats()
		n, err := passed.Packets()
		testkit.Must(t, err)
		if n > before.Packets && q.Stats().Packets == before.Packets {
			t.Fatalf("%d packets have passed, and only %d were handed over", n, before.Packets)
		}
		return n == before.Packets && before.Held == 0
	})
}

// Several loops, Configure, Stats and Links, all at once under a flood: every
// packet is yielded once, or counted as lost.
func TestEverythingAtOnceOnALog(t *testing.T) {
	const packets, loops = 2000, 3
	var lost atomic.Uint64
	onError := func(err error) {
		var o *nfnl.OverrunError
		if !errors.As(err, &o) {
			t.Errorf("OnError was called with %v", err)
			return
		}
		lost.Add(o.Lost)
	}
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 10, OnError: onError})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var seen sync.Map
	var count, last atomic.Uint64
	var ended []<-chan error
	for range loops {
		ended = append(ended, testkit.Background(func() error {
			for p, err := range l.Reader.Packets(ctx) {
				if err != nil {
					return err
				}
				if _, twice := seen.LoadOrStore(p.Seq, true); twice {
					t.Errorf("packet %d was yielded twice", p.Seq)
				}
				count.Add(1)
				for n := last.Load(); uint64(p.Seq) > n && !last.CompareAndSwap(n, uint64(p.Seq)); n = last.Load() {
				}
			}
			return nil
		}))
	}
	var others crowd
	for i := range 2 {
		others.join(func() {
			cfg := l.Reader.Config()
			cfg.Threshold, cfg.GlobalSequence = uint32(5+i), i == 0
			unless(t, "Configure", l.Reader.Configure(cfg))
		})
	}
	others.join(func() { l.Reader.Stats() })
	others.join(func() {
		links, err := l.Reader.Links()
		if err == nil {
			err = links.Close()
		}
		unless(t, "Links", err, os.ErrPermission)
	})
	stop := endtoend.Flood(t, l.From)
	awaitCount(t, "packets", packets, count.Load)
	stop()
	others.leave()
	cancel()
	for _, e := range ended {
		testkit.WantError(t, "loop", testkit.Next(t, e), context.Canceled)
	}
	if s := l.Reader.Stats(); s.Packets != count.Load() || s.Lost != lost.Load() || s.Packets+s.Lost != last.Load()+1 || s.Malformed != 0 {
		t.Errorf("%d packets yielded, the last number %d, %d told lost; stats %+v", count.Load(), last.Load(), lost.Load(), s)
	}
}
