package nfqueue_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// errSend is what a failing kernel's Send returns.
var errSend = errors.New("no room")

// A failer is a wiretap on which Send fails while fail is set.
type failer struct {
	wiretap
	fail   atomic.Bool
	failed chan time.Time // when
}

// failing returns queue 7 on a failer.
func failing(t testing.TB, cfg nfqueue.Config) (*nfqueue.Queue, *failer) {
	t.Helper()
	f := &failer{failed: make(chan time.Time, 1000)}
	q, w := tapUnless(t, cfg, func() error {
		if !f.fail.Load() {
			return nil
		}
		f.failed <- time.Now()
		return errSend
	})
	f.wiretap = w
	return q, f
}

func TestExpiryThatIsNotSentLeavesThePacketHeld(t *testing.T) {
	reported := new(testkit.Errors)
	q, f := failing(t, nfqueue.Config{OnError: reported.Add})
	f.deliver(t, 1, 1)
	start(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		f.fail.Store(true)
		return nfqueue.HoldFor(0, nfqueue.Drop())
	})
	reported.Next(t, errSend)
	if s := q.Stats(); s.Held != 1 || s.HeldBytes != len(udpPacket("x")) || s.Expired != 0 {
		t.Errorf("stats %+v", s)
	}
	f.fail.Store(false)
	if err := q.SetVerdict(1, nfqueue.Accept()); err != nil {
		t.Error(err)
	}
	f.wantSent(t, "1 accept")
}

func TestExpiryThatIsNotSentIsTriedAgainEachSecond(t *testing.T) {
	q, f := failing(t, nfqueue.Config{})
	f.deliver(t, 1, 1)
	holdUntil(t, q, 1, time.Now().Add(100*time.Millisecond))
	f.fail.Store(true)
	before := testkit.Next(t, f.failed)
	for range 2 {
		again := testkit.Next(t, f.failed)
		if d := again.Sub(before); d < time.Second {
			t.Errorf("tried again after %v", d)
		}
		before = again
	}
	f.fail.Store(false)
	f.wantSent(t, "1 accept")
}

// One send that fails puts the expiry of all off, not away.
func TestPacketsDueTogetherExpireAfterASendFailed(t *testing.T) {
	const packets = 600
	reported := new(testkit.Errors)
	q, f := failing(t, nfqueue.Config{OnError: reported.Add})
	f.deliver(t, 1, packets)
	f.fail.Store(true)
	holdUntil(t, q, packets, time.Now().Add(100*time.Millisecond))
	reported.Next(t, errSend)
	f.fail.Store(false)
	testkit.Await(t, "Stats.Expired is packets", func() bool { return q.Stats().Expired == packets })
	if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Between two pieces the socket is read; that it cannot be is no reason to hold
// the rest for ever.
func TestPacketsDueTogetherExpireThoughTheSocketCannotBeRead(t *testing.T) {
	const packets = 300
	q, f := failing(t, nfqueue.Config{})
	f.deliver(t, 1, packets)
	holdUntil(t, q, packets, time.Now().Add(100*time.Millisecond))
	f.Peer.Close()
	testkit.Await(t, "Stats.Expired is packets", func() bool { return q.Stats().Expired == packets })
}

// However a verdict fails, a packet that HoldFor holds keeps its deadline and its
// share of the bytes.
func TestVerdictThatIsNotSentLeavesThePacketHeldAsItWas(t *testing.T) {
	for name, decide := range map[string]func(q *nfqueue.Queue) error{
		"SetVerdict":     func(q *nfqueue.Queue) error { return q.SetVerdict(1, nfqueue.Drop()) },
		"SetVerdictUpTo": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(1, nfqueue.Drop()) },
		"SetVerdictAll":  func(q *nfqueue.Queue) error { return q.SetVerdictAll(nfqueue.Drop()) },
	} {
		t.Run(name, func(t *testing.T) {
			q, f := failing(t, nfqueue.Config{})
			f.deliver(t, 1, 1)
			holdUntil(t, q, 1, time.Now().Add(500*time.Millisecond))
			f.fail.Store(true)
			if err := decide(q); !errors.Is(err, errSend) {
				t.Errorf("got %v", err)
			}
			if s := q.Stats(); s.Held != 1 || s.HeldBytes != len(udpPacket("x")) {
				t.Errorf("stats %+v", s)
			}
			f.fail.Store(false)
			f.wantSent(t, "1 accept")
			testkit.Await(t, "Stats.Expired is 1", func() bool { return q.Stats().Expired == 1 })
			if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
				t.Errorf("afterwards: stats %+v", s)
			}
		})
	}
}

// What is taken from a handler and cannot be sent is held, bytes and all.
func TestVerdictBeforeTheHandlersThatIsNotSentLeavesThePacketHeld(t *testing.T) {
	for name, decide := range map[string]func(q *nfqueue.Queue) error{
		"SetVerdict":     func(q *nfqueue.Queue) error { return q.SetVerdict(1, nfqueue.Drop()) },
		"SetVerdictUpTo": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(1, nfqueue.Drop()) },
	} {
		t.Run(name, func(t *testing.T) {
			q, f := failing(t, nfqueue.Config{})
			f.deliver(t, 1, 1)
			entered, proceed := make(chan struct{}), make(chan struct{})
			stop := start(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
				close(entered)
				<-proceed
				return nfqueue.Stop()
			})
			testkit.Next(t, entered)
			f.fail.Store(true)
			if err := decide(q); !errors.Is(err, errSend) {
				t.Errorf("got %v", err)
			}
			f.fail.Store(false)
			close(proceed)
			stop()
			if s := q.Stats(); s.Held != 1 || s.HeldBytes != len(udpPacket("x")) {
				t.Errorf("stats %+v", s)
			}
			if err := q.SetVerdict(1, nfqueue.Accept()); err != nil {
				t.Error(err)
			}
			f.wantSent(t, "1 accept")
		})
	}
}
