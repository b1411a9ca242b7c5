package nfqueue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nfqueue"
)

// With Receive, verdicts are given by Send, also one by ticket before that.
func TestVerdictByTicketBeforeSendKeepsThePacketsPlace(t *testing.T) {
	for name, cfg := range map[string]nfqueue.Config{"default": {}, "range verdicts": {RangeVerdicts: true}} {
		t.Run(name, func(t *testing.T) {
			q, w := tap(t, cfg)
			w.deliver(t, 1, 4)
			b := q.NewBatch()
			receive(t, q, b, 4)
			releaseNow(t, b.Packets[1].Ticket())
			if err := b.Packets[1].Ticket().SetVerdict(nfqueue.Drop()); !errors.Is(err, nfqueue.ErrDecided) {
				t.Errorf("the second verdict: %v", err)
			}
			for i := range b.Verdicts {
				b.Verdicts[i] = nfqueue.Accept().WithMark(b.Packets[i].ID)
			}
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
			if got, want := w.sentInAll(t, 4), "1 accept#1, 2 stop, 3 accept#3, 4 accept#4"; got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		})
	}
}

// A verdict by ticket leaves nothing unanswered that would forbid range verdicts.
func TestRangeVerdictsBesideTicketsBeforeSend(t *testing.T) {
	q, w := tap(t, nfqueue.Config{RangeVerdicts: true})
	b := q.NewBatch()
	for first := uint32(1); first < 9; first += 4 {
		w.deliver(t, first, first+3)
		receive(t, q, b, 4)
		releaseNow(t, b.Packets[1].Ticket())
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept()
		}
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
		w.wantSent(t, fmt.Sprintf("%d accept, %d stop, ..%d accept", first, first+1, first+3))
	}
}

// What Send cannot send waits as it does without a ticket, and Send says so.
func TestVerdictByTicketBeforeSendThatFails(t *testing.T) {
	q, f := failing(t, nfqueue.Config{})
	f.deliver(t, 1, 2)
	b := q.NewBatch()
	receive(t, q, b, 2)
	releaseNow(t, b.Packets[0].Ticket())
	f.fail.Store(true)
	if err := q.Send(b); !errors.Is(err, errSend) {
		t.Errorf("Send: %v", err)
	}
	f.fail.Store(false)
	if err := q.SetVerdictUpTo(2, nfqueue.Drop()); err != nil {
		t.Error(err)
	}
	f.wantSent(t, "..2 drop")
}

// A verdict up to a packet before that leaves it in its place.
func TestVerdictUpToAnEarlierPacketLeavesATicketsInItsPlace(t *testing.T) {
	q, w := tap(t, nfqueue.Config{})
	w.deliver(t, 1, 6)
	b := q.NewBatch()
	receive(t, q, b, 6)
	releaseNow(t, b.Packets[5].Ticket())
	releaseNow(t, b.Packets[4].Ticket())
	releaseNow(t, b.Packets[0].Ticket())
	if err := q.SetVerdictUpTo(2, nfqueue.Drop()); err != nil {
		t.Fatal(err)
	}
	for i := range b.Verdicts {
		b.Verdicts[i] = nfqueue.Accept()
	}
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	if got, want := w.sentInAll(t, 6), "1 stop, ..2 drop, 3 accept, 4 accept, 5 stop, 6 stop"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// If verdicts that were given before cannot be sent, one on all that wait is not sent
// either: it would reach their packets.
func TestVerdictUpToAfterVerdictsThatAreNotSent(t *testing.T) {
	for name, decide := range map[string]func(*nfqueue.Queue) error{
		"up to": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(2, nfqueue.Accept()) },
		"all":   func(q *nfqueue.Queue) error { return q.SetVerdictAll(nfqueue.Accept()) },
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{})
			k.Enqueue(packet("x"))
			k.Enqueue(packet("x"))
			b := q.NewBatch()
			receive(t, q, b, 2)
			if err := b.Packets[0].Ticket().SetVerdict(nfqueue.Drop()); err != nil {
				t.Fatal(err)
			}
			first := true
			k.FailSend(func([]byte) error {
				if first {
					first = false
					return errSend
				}
				return nil
			})
			if err := decide(q); !errors.Is(err, errSend) {
				t.Errorf("got %v", err)
			}
			if left := k.Waiting(); len(left) != 2 {
				t.Errorf("%v wait, want both packets", left)
			}
		})
	}
}

// A verdict on all that wait comes after those that were given by ticket.
func TestVerdictUpToDoesNotOverrideATicketBeforeSend(t *testing.T) {
	for name, decide := range map[string]func(*nfqueue.Queue) error{
		"up to": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(4, nfqueue.Drop()) },
		"all":   func(q *nfqueue.Queue) error { return q.SetVerdictAll(nfqueue.Drop()) },
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{})
			for range 4 {
				k.Enqueue(packet("x"))
			}
			b := q.NewBatch()
			receive(t, q, b, 4)
			releaseNow(t, b.Packets[2].Ticket())
			if err := decide(q); err != nil {
				t.Fatal(err)
			}
			noneWait(t, k)
			for id, want := range map[uint32]nfqueue.Verdict{1: nfqueue.Drop(), 2: nfqueue.Drop(), 3: nfqueue.Stop(), 4: nfqueue.Drop()} {
				wantVerdict(t, k, id, want)
			}
			if s := q.Stats(); s.Undecided != 0 {
				t.Errorf("%d undecided", s.Undecided)
			}
		})
	}
}

// A refused verdict is answered to who gave it, and the fallback keeps the place.
func TestRefusedVerdictByTicketBeforeSend(t *testing.T) {
	q, w := tap(t, nfqueue.Config{Fallback: fallback})
	w.deliver(t, 1, 2)
	b := q.NewBatch()
	receive(t, q, b, 2)
	if err := b.Packets[1].Ticket().SetVerdict(nfqueue.Accept().WithPayload(make([]byte, 1<<17))); err == nil {
		t.Error("no error")
	}
	b.Verdicts[0] = nfqueue.Stop()
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	if got := w.sentInAll(t, 2); !strings.HasPrefix(got, "1 stop, 2 ") || strings.HasSuffix(got, "stop") {
		t.Errorf("sent %q", got)
	}
}
