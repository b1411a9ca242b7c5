// Queue is nfpacket's program in the comparison: packages nfqueue, as its users
// call it.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"log"
	"net"
	"sync/atomic"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	o := subject.Parse()
	ctx, cancel := subject.Context()
	defer cancel()
	if o.Sample > 0 {
		hold(ctx, o)
		return
	}
	qs, err := nfqueue.OpenRange(config(o), o.Queues)
	subject.Must(err)
	defer qs.Close()
	c := newCounters(o, cancel)

	subject.AwaitStart(qs.Queue(0).Granted().ReadBuffer)
	m := subject.Start(o)
	for range o.Compute {
		go compute()
	}
	run := qs.Run
	if o.Queues == 1 {
		run = qs.Queue(0).Run
	}
	if err := run(ctx, c.handler(o.Work)); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	m.Report(c.total(), 0)
}

// config returns the configuration that all programs have.
func config(o subject.Options) nfqueue.Config {
	cfg := nfqueue.Config{
		Queue:     o.Queue,
		MaxLen:    o.MaxLen,
		CopyRange: o.CopyRange,
		BusyPoll:  o.BusyPoll,
		Batch:     o.Batch,

		RangeVerdicts: o.Ranges,

		Socket:  nfnl.Config{ReadBuffer: o.Buffer},
		OnError: func(err error) { log.Print(err) },
	}
	if o.Count == 0 {
		cfg.OnError = nil // a flood loses packets, and is told how many by the harness
	}
	return cfg
}

// counters count the packets of each queue. Each has a cache line of its own,
// or two processors would take it from each other at every packet.
type counters struct {
	first  uint16
	limit  int // packets of one queue
	queues []counter
	left   atomic.Int32 // queues that have not reached their limit
	stop   context.CancelFunc
}

type counter struct {
	n int
	_ [120]byte
}

func newCounters(o subject.Options, stop context.CancelFunc) *counters {
	c := &counters{first: o.Queue, limit: o.Count / o.Queues, queues: make([]counter, o.Queues), stop: stop}
	c.left.Store(int32(o.Queues))
	return c
}

// count counts p, ends Run after the last one, and returns p's number.
func (c *counters) count(p *nfqueue.Packet) int {
	q := &c.queues[p.Queue-c.first]
	q.n++
	if q.n == c.limit && c.left.Add(-1) == 0 {
		c.stop()
	}
	return q.n
}

func (c *counters) total() (n int) {
	for i := range c.queues {
		n += c.queues[i].n
	}
	return n
}

// handler returns the handler that does the work.
func (c *counters) handler(work string) nfqueue.Handler {
	switch work {
	case subject.Accept:
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			c.count(p)
			return nfqueue.Accept()
		}
	case subject.Mark:
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithMark(uint32(c.count(p)))
		}
	case subject.Pass:
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			c.count(p)
			return nfqueue.Accept().WithMark(subject.Passed)
		}
	case subject.Hand:
		tickets := make(chan nfqueue.Ticket, 1024)
		go acceptAll(tickets)
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			c.count(p)
			tickets <- p.Ticket()
			return nfqueue.Hold()
		}
	case subject.Raw:
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			c.count(p)
			p.Payload[subject.UDPData] ^= 1
			return nfqueue.Accept().WithRawPayload(p.Payload)
		}
	case subject.Finish:
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			c.count(p)
			p.Payload[subject.UDPData] ^= 1
			return nfqueue.Accept().WithPayload(p.Payload)
		}
	}
	log.Fatalf("unknown work %q", work)
	panic("unreachable")
}

// acceptAll decides on packets that a handler holds.
func acceptAll(tickets <-chan nfqueue.Ticket) {
	for t := range tickets {
		if err := t.SetVerdict(nfqueue.Accept()); err != nil && !errors.Is(err, net.ErrClosed) {
			log.Fatal(err)
		}
	}
}

// compute keeps a processor busy.
func compute() {
	for sum := sha256.Sum256(nil); ; {
		sum = sha256.Sum256(sum[:])
	}
}
