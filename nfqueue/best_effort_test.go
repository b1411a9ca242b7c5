package nfqueue_test

import (
	"bytes"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// With BestEffort what cannot be changed of a connection is left out and reported;
// the rest of the verdict is carried out, however it is given.
func TestBestEffortLeavesOutWhatCannotBeChanged(t *testing.T) {
	marked := nfqueue.Accept().WithMark(5)
	changed := marked.WithConntrackMark(1, 0xff)
	expecting := changed.WithExpectation(expectation())
	for _, c := range []struct {
		name    string
		cfg     nfqueue.Config
		message []byte
		v, want nfqueue.Verdict
		why     error
	}{
		{"not granted", nfqueue.Config{}, tracked(1), changed, marked, nfqueue.ErrUntracked},
		{"not tracked", nfqueue.Config{Conntrack: true}, packetMessage(1), changed, marked, nfqueue.ErrUntracked},
		{"not tracked, nor expected", nfqueue.Config{Conntrack: true}, packetMessage(1), expecting, marked, nfqueue.ErrUntracked},
		{"no helper", nfqueue.Config{Conntrack: true}, tracked(1), expecting, changed, nfqueue.ErrNoHelper},
		{"nothing is wrong", nfqueue.Config{Conntrack: true}, tracked(1), changed, changed, nil},
	} {
		for way, decide := range map[string]func(*nfqueue.Queue, *nfqueue.Packet) nfqueue.Verdict{
			"handler": func(*nfqueue.Queue, *nfqueue.Packet) nfqueue.Verdict { return c.v },
			"ticket": func(_ *nfqueue.Queue, p *nfqueue.Packet) nfqueue.Verdict {
				if err := p.Ticket().SetVerdict(c.v); err != nil {
					t.Error(err)
				}
				return nfqueue.Hold()
			},
		} {
			t.Run(c.name+", "+way, func(t *testing.T) {
				reported := new(testkit.Errors)
				cfg := c.cfg
				cfg.BestEffort, cfg.Fallback, cfg.OnError = true, nfqueue.Stop(), reported.Add
				q, w := tap(t, cfg)
				start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return decide(q, p) })
				w.Deliver(c.message)
				sent, err := c.want.Append(nil, decode(t, c.message))
				if err != nil {
					t.Fatal(err)
				}
				if got := testkit.Next(t, w.sends); !bytes.Equal(got, sent) {
					t.Errorf("sent %x, want %x", got, sent)
				}
				omitted := uint64(0)
				if c.why != nil {
					nextPackets(t, reported, c.why, 1, 1)
					omitted = 1
				}
				reported.WantNoMore(t)
				if s := q.Stats(); s.Omitted != omitted || s.Fallbacks != 0 || s.Refused != 0 {
					t.Errorf("stats %+v", s)
				}
			})
		}
	}
}

// No lock is held while OnError is told what a ticket's verdict was sent without.
func TestOnErrorOfATicketMayAnswerAllPackets(t *testing.T) {
	var q *nfqueue.Queue
	q, k := open(t, nfqueue.Config{BestEffort: true, OnError: func(error) {
		if err := q.SetVerdictAll(nfqueue.Drop()); err != nil {
			t.Error(err)
		}
	}})
	tickets := make(chan nfqueue.Ticket, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		return nfqueue.Hold()
	})
	id := k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	answered := testkit.Background(func() error { return ticket.SetVerdict(nfqueue.Accept().WithConntrackMark(1, 0xff)) })
	if err := testkit.Next(t, answered); err != nil {
		t.Error(err)
	}
	wantVerdict(t, k, id, nfqueue.Accept())
}
