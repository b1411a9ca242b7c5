//go:build linux

package queue

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestHeldPacketsAreAnsweredInAnyOrder(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
		hold, tickets := endtoend.HoldAll()
		endtoend.RunQueue(t, l.Queue, hold)
		endtoend.Send(t, l.From, "one", "two", "three", "four")
		held := endtoend.AwaitHeld(t, l.Queue, tickets, 4)

		testkit.Must(t, held[2].SetVerdict(nfqueue.Accept()))
		endtoend.WantReceived(t, l.To, "three")
		testkit.Must(t, held[0].SetVerdict(nfqueue.Accept()))
		endtoend.WantReceived(t, l.To, "one")
		testkit.Must(t, held[1].SetVerdict(nfqueue.Drop()))
		testkit.Must(t, l.Queue.SetVerdict(held[3].ID(), nfqueue.Accept()))
		endtoend.WantReceived(t, l.To, "four")
		if n := l.Queue.Stats().Held; n != 0 {
			t.Errorf("%d packets held, want 0", n)
		}
	})
}

func TestSecondVerdictIsRefused(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	hold, tickets := endtoend.HoldAll()
	endtoend.RunQueue(t, l.Queue, hold)
	endtoend.Send(t, l.From, "once")
	ticket := endtoend.AwaitHeld(t, l.Queue, tickets, 1)[0]

	testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
	if err := ticket.SetVerdict(nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("second verdict: %v, want ErrDecided", err)
	}
	if err := l.Queue.SetVerdict(ticket.ID(), nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("third verdict, by ID: %v, want ErrDecided", err)
	}
	if err := l.Queue.SetVerdict(ticket.ID()+1, nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("verdict on a packet that never was: %v, want ErrDecided", err)
	}
	endtoend.WantReceived(t, l.To, "once")
	if s := l.Queue.Stats(); s.Gone != 0 || s.Refused != 0 {
		t.Errorf("the kernel was asked about the refused ones: %+v", s)
	}
}

func TestVerdictBeforeTheHandlerReturnsWins(t *testing.T) {
	for name, returned := range map[string]nfqueue.Verdict{
		"Hold": nfqueue.Hold(), "Drop": nfqueue.Drop(), "Accept": nfqueue.Accept(),
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
			marked := endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(3))
			answers := make(chan error, 10)
			endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
				answers <- p.Ticket().SetVerdict(nfqueue.Accept().WithMark(3))
				return returned
			})
			endtoend.Send(t, l.From, "one", "two")
			endtoend.WantReceived(t, l.To, "one", "two")
			testkit.Must(t, testkit.Next(t, answers))
			testkit.Must(t, testkit.Next(t, answers))
			endtoend.WantPackets(t, marked, 2)
			if s := l.Queue.Stats(); s.Held != 0 || s.Gone != 0 {
				t.Errorf("stats %+v, want none held and none gone", s)
			}
		})
	}
}

// Held packets and those that nobody has received yet are let go together.
func TestVerdictOnAllThatWaits(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	hold, tickets := endtoend.HoldAll()
	stop := endtoend.RunQueue(t, l.Queue, hold)
	endtoend.Send(t, l.From, "a", "b")
	endtoend.AwaitHeld(t, l.Queue, tickets, 2)
	if err := stop(); err == nil {
		t.Error("Run returned nil")
	}
	endtoend.Send(t, l.From, "c", "d")

	testkit.Must(t, l.Rule.Delete())
	testkit.Must(t, l.Queue.SetVerdictAll(nfqueue.Accept()))
	testkit.Must(t, l.Queue.Close())
	endtoend.WantReceived(t, l.To, "a", "b", "c", "d")
}

// Without a verdict on all the kernel drops what waits, and tickets say so.
func TestCloseDropsWhatWaits(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	hold, tickets := endtoend.HoldAll()
	stop := endtoend.RunQueue(t, l.Queue, hold)
	endtoend.Send(t, l.From, "a")
	ticket := endtoend.AwaitHeld(t, l.Queue, tickets, 1)[0]
	stop()
	testkit.Must(t, l.Rule.Delete())
	testkit.Must(t, l.Queue.Close())
	if err := ticket.SetVerdict(nfqueue.Accept()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("verdict after Close: %v, want net.ErrClosed", err)
	}
	endtoend.Send(t, l.From, "b")
	endtoend.WantReceived(t, l.To, "b")
}

// Verdicts on the packets around a held one are sent together, and must not
// take it along.
func TestHeldPacketsAreNotSweptAlong(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.SendNumbers(t, l.From, 0, 9) // one batch
	tickets := make(chan nfqueue.Ticket, 2)
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch string(p.Payload[endtoend.IPv4.Headers:]) {
		case "2", "5":
			tickets <- p.Ticket()
			return nfqueue.Hold()
		case "7":
			return nfqueue.Drop()
		}
		return nfqueue.Accept()
	})
	endtoend.WantReceived(t, l.To, "0", "1", "3", "4", "6", "8")
	for _, ticket := range endtoend.AwaitHeld(t, l.Queue, tickets, 2) {
		testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
	}
	endtoend.WantReceived(t, l.To, "2", "5")
	if s := l.Queue.Stats(); s.Gone != 0 || s.Refused != 0 {
		t.Errorf("%d gone and %d refused, want none", s.Gone, s.Refused)
	}
}

func TestHoldForExpires(t *testing.T) {
	const mark = 8
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	expired := endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(mark))
	tickets := make(chan nfqueue.Ticket, 2)
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		if string(p.Payload[endtoend.IPv4.Headers:]) == "long" {
			return nfqueue.HoldFor(time.Hour, nfqueue.Drop())
		}
		return nfqueue.HoldFor(10*time.Millisecond, nfqueue.Accept().WithMark(mark))
	})
	endtoend.Send(t, l.From, "long", "short")
	endtoend.WantReceived(t, l.To, "short") // nobody has answered it
	endtoend.WantPackets(t, expired, 1)
	testkit.Must(t, testkit.Next(t, tickets).SetVerdict(nfqueue.Accept()))
	endtoend.WantReceived(t, l.To, "long")
	testkit.WantError(t, "verdict after the expiry", testkit.Next(t, tickets).SetVerdict(nfqueue.Drop()), nfqueue.ErrDecided)
	if s := l.Queue.Stats(); s.Expired != 1 || s.Held != 0 || s.Gone != 0 {
		t.Errorf("stats %+v, want one expired, none held and none gone", s)
	}
}

func TestVerdictUpToAPacket(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	hold, tickets := endtoend.HoldAll()
	endtoend.RunQueue(t, l.Queue, hold)
	endtoend.SendNumbers(t, l.From, 0, 5)
	held := endtoend.AwaitHeld(t, l.Queue, tickets, 5)
	testkit.Must(t, held[1].SetVerdict(nfqueue.Drop()))
	testkit.Must(t, l.Queue.SetVerdictUpTo(held[3].ID(), nfqueue.Accept()))
	endtoend.WantReceived(t, l.To, "0", "2", "3")
	for _, ticket := range held[:4] {
		testkit.WantError(t, "verdict after that", ticket.SetVerdict(nfqueue.Drop()), nfqueue.ErrDecided)
	}
	testkit.Must(t, held[4].SetVerdict(nfqueue.Accept()))
	endtoend.WantReceived(t, l.To, "4")
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
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
			hold, tickets := endtoend.HoldAll()
			endtoend.RunQueue(t, l.Queue, hold)
			endtoend.SendNumbers(t, l.From, 0, packets)
			held := endtoend.AwaitHeld(t, l.Queue, tickets, packets)

			testkit.Must(t, l.Queue.SetVerdictUpTo(held[0].ID()+c.ahead, nfqueue.Accept()))
			if n := packets - l.Queue.Stats().Held; n != c.taken {
				t.Errorf("%d packets are off the list, want %d", n, c.taken)
			}
			if k, ok := endtoend.KernelStats(t, l.Queue); ok && packets-int(k.Waiting) != c.taken {
				t.Errorf("%d packets wait in the kernel, want %d", k.Waiting, packets-c.taken)
			}
			for i, ticket := range held {
				if i >= c.taken {
					testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
				}
				endtoend.WantReceived(t, l.To, fmt.Sprint(i))
			}
		})
	}
}

// Nor what another goroutine has received and not yet decided on.
func TestPacketsOfAnotherBatchAreNotSweptAlong(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.SendNumbers(t, l.From, 0, 3)
	b := l.Queue.NewBatch()
	testkit.Must(t, l.Queue.Receive(b))
	if len(b.Packets) != 3 {
		t.Fatalf("%d packets received, want 3", len(b.Packets))
	}
	endtoend.SendNumbers(t, l.From, 0, 5)
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.WantReceived(t, l.To, "0", "1", "2", "3", "4")

	b.Verdicts[1] = nfqueue.Accept() // the others are dropped
	testkit.Must(t, l.Queue.Send(b))
	endtoend.WantReceived(t, l.To, "1")
	endtoend.Send(t, l.From, "last")
	endtoend.WantReceived(t, l.To, "last")
	if s := l.Queue.Stats(); s.Gone != 0 {
		t.Errorf("%d verdicts came too late", s.Gone)
	}
}
