//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// holder returns a handler that holds every packet, and the tickets.
func holder() (nfqueue.Handler, <-chan nfqueue.Ticket) {
	tickets := make(chan nfqueue.Ticket, 1000)
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		return nfqueue.Hold()
	}, tickets
}

// take returns the next n tickets, once Run has noted that they are held.
func take(t *testing.T, q *nfqueue.Queue, tickets <-chan nfqueue.Ticket, n int) []nfqueue.Ticket {
	t.Helper()
	taken := make([]nfqueue.Ticket, n)
	for i := range taken {
		taken[i] = next(t, tickets)
	}
	await(t, "the packets are held", func() bool { return q.Stats().Held == n })
	return taken
}

func TestHeldPacketsAreAnsweredInAnyOrder(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLane(t, v, lab.Output, nfqueue.Config{})
		hold, tickets := holder()
		runQueue(t, l.queue, hold)
		send(t, l.from, "one", "two", "three", "four")
		held := take(t, l.queue, tickets, 4)

		must(t, held[2].SetVerdict(nfqueue.Accept()))
		wantReceived(t, l.to, "three")
		must(t, held[0].SetVerdict(nfqueue.Accept()))
		wantReceived(t, l.to, "one")
		must(t, held[1].SetVerdict(nfqueue.Drop()))
		must(t, l.queue.SetVerdict(held[3].ID(), nfqueue.Accept()))
		wantReceived(t, l.to, "four")
		if n := l.queue.Stats().Held; n != 0 {
			t.Errorf("%d packets held, want 0", n)
		}
	})
}

func TestSecondVerdictIsRefused(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	hold, tickets := holder()
	runQueue(t, l.queue, hold)
	send(t, l.from, "once")
	ticket := take(t, l.queue, tickets, 1)[0]

	must(t, ticket.SetVerdict(nfqueue.Accept()))
	if err := ticket.SetVerdict(nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("second verdict: %v, want ErrDecided", err)
	}
	if err := l.queue.SetVerdict(ticket.ID(), nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("third verdict, by ID: %v, want ErrDecided", err)
	}
	if err := l.queue.SetVerdict(ticket.ID()+1, nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("verdict on a packet that never was: %v, want ErrDecided", err)
	}
	wantReceived(t, l.to, "once")
	if s := l.queue.Stats(); s.Gone != 0 || s.Refused != 0 {
		t.Errorf("the kernel was asked about the refused ones: %+v", s)
	}
}

func TestVerdictBeforeTheHandlerReturnsWins(t *testing.T) {
	for name, returned := range map[string]nfqueue.Verdict{
		"Hold": nfqueue.Hold(), "Drop": nfqueue.Drop(), "Accept": nfqueue.Accept(),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
			marked := addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(3))
			answers := make(chan error, 10)
			runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
				answers <- p.Ticket().SetVerdict(nfqueue.Accept().WithMark(3))
				return returned
			})
			send(t, l.from, "one", "two")
			wantReceived(t, l.to, "one", "two")
			must(t, next(t, answers))
			must(t, next(t, answers))
			wantPackets(t, marked, 2)
			if s := l.queue.Stats(); s.Held != 0 || s.Gone != 0 {
				t.Errorf("stats %+v, want none held and none gone", s)
			}
		})
	}
}

// Held packets and those that nobody has received yet are let go together.
func TestVerdictOnAllThatWaits(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	hold, tickets := holder()
	stop := runQueue(t, l.queue, hold)
	send(t, l.from, "a", "b")
	take(t, l.queue, tickets, 2)
	if err := stop(); err == nil {
		t.Error("Run returned nil")
	}
	send(t, l.from, "c", "d")

	must(t, l.rule.Delete())
	must(t, l.queue.SetVerdictAll(nfqueue.Accept()))
	must(t, l.queue.Close())
	wantReceived(t, l.to, "a", "b", "c", "d")
}

// Without a verdict on all the kernel drops what waits, and tickets say so.
func TestCloseDropsWhatWaits(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	hold, tickets := holder()
	stop := runQueue(t, l.queue, hold)
	send(t, l.from, "a")
	ticket := take(t, l.queue, tickets, 1)[0]
	stop()
	must(t, l.rule.Delete())
	must(t, l.queue.Close())
	if err := ticket.SetVerdict(nfqueue.Accept()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("verdict after Close: %v, want net.ErrClosed", err)
	}
	send(t, l.from, "b")
	wantReceived(t, l.to, "b")
}

// Verdicts on the packets around a held one are sent together, and must not
// take it along.
func TestHeldPacketsAreNotSweptAlong(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	sendNumbered(t, l, 9) // one batch
	tickets := make(chan nfqueue.Ticket, 2)
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch string(p.Payload[ipv4.headers:]) {
		case "2", "5":
			tickets <- p.Ticket()
			return nfqueue.Hold()
		case "7":
			return nfqueue.Drop()
		}
		return nfqueue.Accept()
	})
	wantReceived(t, l.to, "0", "1", "3", "4", "6", "8")
	for _, ticket := range take(t, l.queue, tickets, 2) {
		must(t, ticket.SetVerdict(nfqueue.Accept()))
	}
	wantReceived(t, l.to, "2", "5")
	if s := l.queue.Stats(); s.Gone != 0 || s.Refused != 0 {
		t.Errorf("%d gone and %d refused, want none", s.Gone, s.Refused)
	}
}

func TestHoldForExpires(t *testing.T) {
	const mark = 8
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	expired := addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(mark))
	tickets := make(chan nfqueue.Ticket, 2)
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		if string(p.Payload[ipv4.headers:]) == "long" {
			return nfqueue.HoldFor(time.Hour, nfqueue.Drop())
		}
		return nfqueue.HoldFor(10*time.Millisecond, nfqueue.Accept().WithMark(mark))
	})
	send(t, l.from, "long", "short")
	wantReceived(t, l.to, "short") // nobody has answered it
	wantPackets(t, expired, 1)
	must(t, next(t, tickets).SetVerdict(nfqueue.Accept()))
	wantReceived(t, l.to, "long")
	wantError(t, "verdict after the expiry", next(t, tickets).SetVerdict(nfqueue.Drop()), nfqueue.ErrDecided)
	if s := l.queue.Stats(); s.Expired != 1 || s.Held != 0 || s.Gone != 0 {
		t.Errorf("stats %+v, want one expired, none held and none gone", s)
	}
}

func TestVerdictUpToAPacket(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	hold, tickets := holder()
	runQueue(t, l.queue, hold)
	sendNumbered(t, l, 5)
	held := take(t, l.queue, tickets, 5)
	must(t, held[1].SetVerdict(nfqueue.Drop()))
	must(t, l.queue.SetVerdictUpTo(held[3].ID(), nfqueue.Accept()))
	wantReceived(t, l.to, "0", "2", "3")
	for _, ticket := range held[:4] {
		wantError(t, "verdict after that", ticket.SetVerdict(nfqueue.Drop()), nfqueue.ErrDecided)
	}
	must(t, held[4].SetVerdict(nfqueue.Accept()))
	wantReceived(t, l.to, "4")
}

// An ID that is not there may be far ahead, or behind. The kernel goes from the
// oldest packet on and stops at the first that is after it: what is off our list
// is what it took.
func TestVerdictUpToStopsAtTheFirstPacketBehindTheID(t *testing.T) {
	const packets, half = 5, 1 << 31
	for _, c := range []struct {
		ahead uint32 // of the first packet
		taken int
	}{
		{1<<32 - 1, 0}, {0, 1}, {3, 4}, {100, 5}, {half - 1, 5}, {half, 5}, {half + 1, 0}, {half + 2, 0}, {half + 4, 0}, {half + 5, 0},
	} {
		t.Run(fmt.Sprint(c.ahead), func(t *testing.T) {
			l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
			hold, tickets := holder()
			runQueue(t, l.queue, hold)
			sendNumbered(t, l, packets)
			held := take(t, l.queue, tickets, packets)

			must(t, l.queue.SetVerdictUpTo(held[0].ID()+c.ahead, nfqueue.Accept()))
			if n := packets - l.queue.Stats().Held; n != c.taken {
				t.Errorf("%d packets are off the list, want %d", n, c.taken)
			}
			if k, ok := kernelStats(t, l.queue); ok && packets-int(k.Waiting) != c.taken {
				t.Errorf("%d packets wait in the kernel, want %d", k.Waiting, packets-c.taken)
			}
			for i, ticket := range held {
				if i >= c.taken {
					must(t, ticket.SetVerdict(nfqueue.Accept()))
				}
				wantReceived(t, l.to, fmt.Sprint(i))
			}
		})
	}
}

// Nor what another goroutine has received and not yet decided on.
func TestPacketsOfAnotherBatchAreNotSweptAlong(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	sendNumbered(t, l, 3)
	b := l.queue.NewBatch()
	must(t, l.queue.Receive(b))
	if len(b.Packets) != 3 {
		t.Fatalf("%d packets received, want 3", len(b.Packets))
	}
	sendNumbered(t, l, 5)
	runQueue(t, l.queue, accept)
	wantReceived(t, l.to, "0", "1", "2", "3", "4")

	b.Verdicts[1] = nfqueue.Accept() // the others are dropped
	must(t, l.queue.Send(b))
	wantReceived(t, l.to, "1")
	send(t, l.from, "last")
	wantReceived(t, l.to, "last")
	if s := l.queue.Stats(); s.Gone != 0 {
		t.Errorf("%d verdicts came too late", s.Gone)
	}
}
