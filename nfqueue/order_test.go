package nfqueue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// sentInAll waits until n messages were sent, and describes all of them.
func (w wiretap) sentInAll(t testing.TB, n int) string {
	t.Helper()
	var all []string
	for len(all) < n {
		next := sent(t, testkit.Next(t, w.sends))
		if next == "" {
			t.Fatalf("sent %v and then nothing", all)
		}
		all = append(all, strings.Split(next, ", ")...)
	}
	return strings.Join(all, ", ")
}

// 1 is accepted, 2 held, and 3's handler releases 2: it is 1 that goes first.
func TestVerdictByTicketDoesNotOvertakeWhatWasReturned(t *testing.T) {
	for name, cfg := range map[string]nfqueue.Config{
		"default":        {FlushAfter: time.Hour},
		"range verdicts": {FlushAfter: time.Hour, RangeVerdicts: true},
		"one a batch":    {FlushAfter: time.Hour, Batch: 1},
		"flushed late":   {FlushAfter: 1},
	} {
		for by, release := range map[string]func(*testing.T, nfqueue.Ticket){
			"the handler": releaseNow,
			"another goroutine": func(t *testing.T, held nfqueue.Ticket) {
				done := make(chan struct{})
				go func() {
					releaseNow(t, held)
					close(done)
				}()
				testkit.Next(t, done)
			},
		} {
			t.Run(name+", by "+by, func(t *testing.T) {
				q, w := tap(t, cfg)
				w.deliver(t, 1, 4)
				var held nfqueue.Ticket
				start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
					switch p.ID {
					case 2:
						held = p.Ticket()
						return nfqueue.Hold()
					case 3:
						release(t, held)
					}
					return nfqueue.Accept().WithMark(p.ID)
				})
				const want = "1 accept#1, 2 stop, 3 accept#3, 4 accept#4"
				if got := w.sentInAll(t, 4); got != want {
					t.Errorf("sent %q, want %q", got, want)
				}
			})
		}
	}
}

// releaseNow decides on a held packet.
func releaseNow(t *testing.T, held nfqueue.Ticket) {
	if err := held.SetVerdict(nfqueue.Stop()); err != nil {
		t.Error(err)
	}
}

// A verdict by ticket goes behind what the handlers of other Runs returned before.
func TestVerdictByTicketDoesNotOvertakeAnotherRun(t *testing.T) {
	q, w := tap(t, nfqueue.Config{FlushAfter: time.Hour, Batch: 2})
	returned, proceed := make(chan struct{}), make(chan struct{})
	defer close(proceed)
	w.deliver(t, 1, 2)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID {
		case 2: // 1 has been answered
			close(returned)
			<-proceed
		case 3, 4: // should this Run get them
		}
		return nfqueue.Accept()
	})
	testkit.Next(t, returned)
	w.deliver(t, 3, 3)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		releaseNow(t, p.Ticket())
		return nfqueue.Drop() // too late
	})
	if got, want := w.sentInAll(t, 2), "1 accept, 3 stop"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestExpiredPacketDoesNotOvertakeWhatWasReturned(t *testing.T) {
	q, w := tap(t, nfqueue.Config{FlushAfter: time.Hour})
	w.deliver(t, 1, 3)
	proceed := make(chan struct{})
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID {
		case 2:
			return nfqueue.HoldFor(time.Millisecond, nfqueue.Stop())
		case 3:
			<-proceed
		}
		return nfqueue.Accept()
	})
	if got, want := w.sentInAll(t, 2), "1 accept, 2 stop"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	close(proceed)
	w.wantSent(t, "3 accept")
}

// By default the kernel gets a message a packet, in the order in which they came.
func TestEachPacketHasAVerdictOfItsOwn(t *testing.T) {
	q, w := tap(t, nfqueue.Config{FlushAfter: time.Hour})
	w.deliver(t, 1, 5)
	start(t, q, accept)
	w.wantSent(t, "1 accept, 2 accept, 3 accept, 4 accept, 5 accept")
}

// Ten packets are gone, as when a base chain is deleted, and five that came later
// are not: each that is gone is counted, although all come in one batch.
func TestPacketsThatAreGoneAmongOthersAreCounted(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for range 10 {
		k.Enqueue(packet("x"))
	}
	k.Flush()
	var ids []uint32
	for range 5 {
		ids = append(ids, k.Enqueue(packet("y")))
	}
	start(t, q, accept)
	for _, id := range ids {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	nextPackets(t, reported, nfqueue.ErrPacketGone, 1, 10)
	if n := q.Stats().Gone; n != 10 {
		t.Errorf("%d are gone", n)
	}
}

// A packet whose Drop could not be sent waits; it is not accepted with later ones.
func TestPacketWhoseVerdictWasNotSentIsNotSweptAlong(t *testing.T) {
	for _, ranges := range []bool{false, true} {
		t.Run(fmt.Sprint("range verdicts ", ranges), func(t *testing.T) {
			q, k := open(t, nfqueue.Config{RangeVerdicts: ranges})
			var failed atomic.Bool
			k.FailSend(func([]byte) error {
				if failed.CompareAndSwap(false, true) {
					return syscall.ENOBUFS
				}
				return nil
			})
			for range 3 {
				k.Enqueue(packet("x"))
			}
			if err := q.Run(context.Background(), always(nfqueue.Drop())); !errors.Is(err, syscall.ENOBUFS) {
				t.Fatalf("Run returned %v", err)
			}
			for range 3 {
				k.Enqueue(packet("y"))
			}
			start(t, q, accept)
			k.Verdict(6)
			if left := k.Waiting(); fmt.Sprint(left) != "[1 2 3]" {
				t.Errorf("waiting are %v, want those that were to be dropped", left)
			}
		})
	}
}

// A packet whose fallback could not be sent is not accepted with those that came
// with it.
func TestPacketWhoseFallbackWasNotSentIsNotSweptAlong(t *testing.T) {
	for _, ranges := range []bool{false, true} {
		t.Run(fmt.Sprint("range verdicts ", ranges), func(t *testing.T) {
			q, w := failing(t, nfqueue.Config{RangeVerdicts: ranges, FlushAfter: time.Hour})
			w.Deliver(packetMessage(1, tlv(3, "00"))) // a mark that is too short
			w.deliver(t, 2, 3)
			w.fail.Store(true)
			b := q.NewBatch()
			if err := q.Receive(b); !errors.Is(err, errSend) {
				t.Fatalf("Receive returned %v", err)
			}
			w.fail.Store(false)
			for i := range b.Verdicts {
				b.Verdicts[i] = nfqueue.Accept()
			}
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
			if got, want := w.sentInAll(t, 2), "2 accept, 3 accept"; got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		})
	}
}

// The kernel's refusal of 1 comes behind packets that were queued before it. Until
// it has come, no range verdict may reach 1, which is to be dropped.
func TestPacketWhoseVerdictIsRefusedIsNotSweptAlong(t *testing.T) {
	q, k := open(t, nfqueue.Config{RangeVerdicts: true, Batch: 2})
	refuseVerdicts(k, 1, 1, syscall.EINVAL)
	for range 10 {
		k.Enqueue(packet("x"))
	}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 1 {
			return nfqueue.Accept().WithPayload(p.Payload)
		}
		return nfqueue.Accept()
	})
	wantVerdict(t, k, 1, nfqueue.Drop())
	wantVerdict(t, k, 10, nfqueue.Accept())
}

func TestRangeVerdictsCannotBeChangedLater(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	if err := q.Configure(nfqueue.Config{Queue: 7, RangeVerdicts: true}); err == nil || !strings.Contains(err.Error(), "Config.RangeVerdicts") {
		t.Errorf("got %v", err)
	}
}

// A verdict by ticket that comes while the packet's handler returns Hold finds it
// held, and not decided.
func TestVerdictWhileTheHandlerReturnsHold(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	q, k := open(t, nfqueue.Config{FlushAfter: 1})
	k.Enqueue(packet("x"))
	k.Enqueue(packet("y"))
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictType && m.Seq == 1 { // the batch is being sent
			close(entered)
			<-proceed
		}
		return nil
	})
	answered := make(chan error, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 1 {
			return nfqueue.Accept()
		}
		<-entered
		ticket := p.Ticket()
		time.AfterFunc(10*time.Millisecond, func() { answered <- ticket.SetVerdict(nfqueue.Stop()) })
		time.AfterFunc(20*time.Millisecond, func() { close(proceed) })
		return nfqueue.Hold() // waits for the send, and before the ticket does
	})
	if err := testkit.Next(t, answered); err != nil {
		t.Error(err)
	}
	wantVerdict(t, k, 2, nfqueue.Stop())
}
