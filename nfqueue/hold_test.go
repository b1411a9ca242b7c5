package nfqueue_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// hold runs a handler that holds everything, and returns where the tickets go.
func hold(t testing.TB, q *nfqueue.Queue) <-chan nfqueue.Ticket {
	tickets := make(chan nfqueue.Ticket, 1000)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		return nfqueue.Hold()
	})
	return tickets
}

func TestHeldPacketsAreDecidedInAnyOrder(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := hold(t, q)
	held := make([]nfqueue.Ticket, 3)
	for i := range held {
		id := k.Enqueue(packet("x"))
		if held[i] = testkit.Next(t, tickets); held[i].ID() != id {
			t.Errorf("a ticket for %d, want %d", held[i].ID(), id)
		}
	}
	testkit.Await(t, "Stats.Held is 3", func() bool { return q.Stats().Held == 3 })
	for _, i := range []int{1, 2, 0} {
		if err := held[i].SetVerdict(nfqueue.Accept().WithMark(held[i].ID())); err != nil {
			t.Fatal(err)
		}
		// The kernel has it when SetVerdict returns.
		if slices.Contains(k.Waiting(), held[i].ID()) {
			t.Errorf("packet %d still waits", held[i].ID())
		}
		wantVerdict(t, k, held[i].ID(), nfqueue.Accept().WithMark(held[i].ID()))
	}
	if n := q.Stats().Held; n != 0 {
		t.Errorf("%d are held", n)
	}
}

func TestHeldPacketIsDecidedByID(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := hold(t, q)
	id := k.Enqueue(packet("x"))
	testkit.Next(t, tickets)
	testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
	if err := q.SetVerdict(id, nfqueue.Repeat().WithMark(1)); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Repeat().WithMark(1))
}

func TestTicketBeforeTheHandlerReturnsWins(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	first, second := k.Enqueue(packet("x")), k.Enqueue(packet("y"))
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if err := p.Ticket().SetVerdict(nfqueue.Accept().WithMark(p.ID)); err != nil {
			t.Errorf("packet %d: %v", p.ID, err)
		}
		if p.ID == first {
			return nfqueue.Hold()
		}
		return nfqueue.Drop()
	})
	wantVerdict(t, k, first, nfqueue.Accept().WithMark(first))
	wantVerdict(t, k, second, nfqueue.Accept().WithMark(second))
	after := k.Enqueue(packet("z"))
	k.Verdict(after) // the batch is through
	if s := q.Stats(); s.Held != 0 || s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPacketBehindTheHandlersIsDecidedFirst(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	first, second := k.Enqueue(packet("x")), k.Enqueue(packet("y"))
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == first {
			if err := q.SetVerdict(second, nfqueue.Stop()); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept()
	})
	wantVerdict(t, k, second, nfqueue.Stop())
	wantVerdict(t, k, first, nfqueue.Accept())
}

func TestSecondVerdictIsRefusedAndNotSent(t *testing.T) {
	q, w := tap(t, nfqueue.Config{})
	w.Deliver(packetMessage(1))
	tickets := hold(t, q)
	ticket := testkit.Next(t, tickets)
	if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	if err := ticket.SetVerdict(nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("got %v", err)
	}
	if err := q.SetVerdict(1, nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("by ID: got %v", err)
	}
	if n := len(w.sends); n != 1 {
		t.Errorf("%d sends", n)
	}
}

func TestVerdictAfterTheHandlersIsRefused(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := make(chan nfqueue.Ticket, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		tickets <- p.Ticket()
		return nfqueue.Accept()
	})
	id := k.Enqueue(packet("x"))
	k.Verdict(id)
	if err := testkit.Next(t, tickets).SetVerdict(nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("got %v", err)
	}
	wantVerdict(t, k, id, nfqueue.Accept())
}

func TestVerdictOnNothingIsRefused(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	if err := q.SetVerdict(99, nfqueue.Accept()); !errors.Is(err, nfqueue.ErrDecided) || !strings.Contains(err.Error(), "packet 99") {
		t.Errorf("got %v", err)
	}
	if err := (nfqueue.Ticket{}).SetVerdict(nfqueue.Accept()); err == nil {
		t.Error("the zero Ticket took a verdict")
	}
	if err := decode(t, fromLinux()).Ticket().SetVerdict(nfqueue.Accept()); err == nil {
		t.Error("a packet of no queue took a verdict")
	}
}

func TestVerdictAfterCloseIsErrClosed(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := hold(t, q)
	k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	q.Close()
	if err := ticket.SetVerdict(nfqueue.Accept()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	testkit.Await(t, "Stats.Held is 0", func() bool { return q.Stats().Held == 0 })
}

func TestHoldIsNoVerdictForAHeldPacket(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := hold(t, q)
	id := k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	if err := ticket.SetVerdict(nfqueue.Hold()); err == nil || errors.Is(err, nfqueue.ErrDecided) {
		t.Errorf("got %v", err)
	}
	if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
		t.Errorf("the packet was lost: %v", err)
	}
	wantVerdict(t, k, id, nfqueue.Accept())
}

func TestWhatDependsOnThePacketNeedsItsTicket(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := hold(t, q)
	id := k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	for _, v := range []nfqueue.Verdict{
		nfqueue.Accept().WithPayload(udpPacket("y")),
		nfqueue.Accept().WithRawPayload([]byte("y")),
		nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}),
		nfqueue.Accept().WithLinkHeader(make([]byte, 14)),
	} {
		if err := q.SetVerdict(id, v); err == nil || errors.Is(err, nfqueue.ErrDecided) {
			t.Errorf("%v: got %v", v, err)
		}
	}
	if err := ticket.SetVerdict(nfqueue.Accept().WithPayload(udpPacket("y"))); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Accept().WithRawPayload(udpPacket("y")))
}

func TestTicketRemembersWhatThePacketWas(t *testing.T) {
	q, k := open(t, nfqueue.Config{CopyRange: 20, Fallback: nfqueue.Stop()})
	tickets := hold(t, q)
	id := k.Enqueue(packet("x"))
	if err := testkit.Next(t, tickets).SetVerdict(nfqueue.Accept().WithPayload(udpPacket("y"))); !errors.Is(err, nfqueue.ErrTruncated) {
		t.Errorf("got %v", err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
	if s := q.Stats(); s.Refused != 1 || s.Fallbacks != 1 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestHeldPacketThatTheKernelDropped(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	tickets := hold(t, q)
	k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	k.Flush()
	if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
		t.Errorf("got %v", err) // the kernel's answer comes later
	}
	reported.Next(t, nfqueue.ErrPacketGone)
	if s := q.Stats(); s.Gone != 1 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestHeldPacketWhoseVerdictIsRefusedGetsTheFallback(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{Fallback: nfqueue.Stop(), OnError: reported.Add})
	tickets := hold(t, q)
	id := k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	refuseVerdicts(k, id, 1, syscall.EINVAL)
	if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
	reported.Next(t, syscall.EINVAL)
}

func TestHoldingMoreThanMaxHeldGetsTheFallback(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{MaxHeld: 2, Fallback: nfqueue.Stop(), OnError: reported.Add})
	tickets := hold(t, q)
	for range 2 {
		k.Enqueue(packet("x"))
		testkit.Next(t, tickets)
	}
	k.Flush() // and nobody will ever answer those
	id := k.Enqueue(packet("y"))
	wantVerdict(t, k, id, nfqueue.Stop())
	reported.Next(t, nfqueue.ErrTooManyHeld)
	if s := q.Stats(); s.Held != 2 || s.Fallbacks != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPacketsOfTwoRunsAreHeld(t *testing.T) {
	q, k := open(t, nfqueue.Config{Batch: 1})
	release := make(chan struct{})
	tickets := make(chan nfqueue.Ticket, 2)
	for range 2 {
		start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			tickets <- p.Ticket()
			<-release
			return nfqueue.Hold()
		})
	}
	a, b := k.Enqueue(packet("x")), k.Enqueue(packet("y"))
	for range 2 { // both handlers are at it
		ticket := testkit.Next(t, tickets)
		if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
			t.Error(err)
		}
	}
	wantVerdict(t, k, a, nfqueue.Accept())
	wantVerdict(t, k, b, nfqueue.Accept())
	close(release)
}
