package nfqueue_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// nextLoss waits for OnError to be called for lost packets.
func nextLoss(t testing.TB, reported *testkit.Errors) nfnl.OverrunError {
	t.Helper()
	var lost *nfnl.OverrunError
	if err := reported.Next(t, syscall.ENOBUFS); !errors.As(err, &lost) {
		return nfnl.OverrunError{}
	}
	return *lost
}

func TestLostPacketsAreCountedAndTold(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	start(t, q, accept)
	k.Lose(5) // before the first that arrives
	k.Verdict(k.Enqueue(packet("x")))
	if got := nextLoss(t, reported); got != (nfnl.OverrunError{Lost: 5}) {
		t.Errorf("reported %+v", got)
	}
	k.Verdict(k.Enqueue(packet("x")))
	k.Lose(70000)
	k.Verdict(k.Enqueue(packet("x")))
	if got := nextLoss(t, reported); got != (nfnl.OverrunError{Lost: 70000}) {
		t.Errorf("reported %+v", got)
	}
	reported.WantNoMore(t)
	if s := q.Stats(); s.Lost != 70005 || s.Bypassed != 0 || s.Packets != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestLossWithinABatchIsToldOnce(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for range 3 {
		k.Lose(2)
		k.Enqueue(packet("x"))
	}
	b := q.NewBatch()
	if err := q.Receive(b); err != nil || len(b.Packets) != 3 {
		t.Fatalf("%d packets, %v", len(b.Packets), err)
	}
	if got := nextLoss(t, reported); got.Lost != 6 {
		t.Errorf("reported %+v", got)
	}
	reported.WantNoMore(t)
}

func TestLossOfAFailOpenQueueIsABypass(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{FailOpen: true, OnError: reported.Add})
	start(t, q, accept)
	k.Lose(5)
	k.Verdict(k.Enqueue(packet("x")))
	if got := nextLoss(t, reported); got != (nfnl.OverrunError{Lost: 5, Bypassed: true}) {
		t.Errorf("reported %+v", got)
	}
	if s := q.Stats(); s.Lost != 5 || s.Bypassed != 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestIDsWrapThroughZero(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	tickets := hold(t, q)
	k.SetNextID(0xfffffffe)
	for _, want := range []uint32{0xfffffffe, 0xffffffff, 0, 1} {
		if id := k.Enqueue(packet("x")); id != want {
			t.Fatalf("ID %d, want %d", id, want)
		}
		if err := testkit.Next(t, tickets).SetVerdict(nfqueue.Accept()); err != nil {
			t.Error(err)
		}
		wantVerdict(t, k, want, nfqueue.Accept())
	}
	reported.WantNoMore(t)
}

func TestLossAcrossZeroIsCounted(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	start(t, q, accept)
	k.SetNextID(0xfffffffe)
	k.Verdict(k.Enqueue(packet("x")))
	k.Lose(3)
	if id := k.Enqueue(packet("x")); id != 2 {
		t.Fatalf("ID %d", id)
	}
	if got := nextLoss(t, reported); got.Lost != 3 {
		t.Errorf("reported %+v", got)
	}
}

func TestIDsThatJumpBackAreNoLoss(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	start(t, q, accept)
	k.SetNextID(1000)
	k.Verdict(k.Enqueue(packet("x")))
	if got := nextLoss(t, reported); got.Lost != 999 {
		t.Errorf("reported %+v", got)
	}
	k.SetNextID(5)
	k.Verdict(k.Enqueue(packet("x")))
	k.Lose(1)
	k.Verdict(k.Enqueue(packet("x")))
	if got := nextLoss(t, reported); got.Lost != 1 {
		t.Errorf("reported %+v", got)
	}
	reported.WantNoMore(t)
}

func TestNobodyNeedsToBeTold(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	start(t, q, accept)
	k.Lose(5)
	k.Deliver([]byte{1, 2, 3})
	k.Verdict(k.Enqueue(packet("x")))
	if s := q.Stats(); s.Lost != 5 || s.Malformed != 1 {
		t.Errorf("stats %+v", s)
	}
}

// What decides is what was in force when packets were lost, not when the gap is
// seen, nor when it is looked at.
func TestLossBeforeConfigureIsWhatItWasThen(t *testing.T) {
	for _, c := range []struct {
		name                    string
		before, after           bool
		lostBefore, lostAfter   int
		lost, bypassed, reports uint64
	}{
		{"FailOpen is set", false, true, 5, 0, 5, 0, 1},
		{"FailOpen is cleared", true, false, 5, 0, 5, 5, 1},
		{"FailOpen is set, and more is lost", false, true, 5, 3, 8, 3, 2},
		{"FailOpen is cleared, and more is lost", true, false, 5, 3, 8, 5, 2},
		{"nothing was lost before", false, true, 0, 3, 3, 3, 1},
	} {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, packets kept: %v", c.name, kept), func(t *testing.T) {
				reported := new(testkit.Errors)
				cfg := nfqueue.Config{Queue: 7, FailOpen: c.before, OnError: reported.Add}
				q, k := open(t, cfg)
				b := q.NewBatch()
				take := func() {
					if err := q.TryReceive(b); err != nil {
						t.Fatal(err)
					}
				}
				k.Enqueue(packet("x"))
				k.Lose(c.lostBefore)
				if k.Enqueue(packet("x")); !kept {
					take()
				}
				cfg.FailOpen = c.after
				if err := q.Configure(cfg); err != nil {
					t.Fatal(err)
				}
				k.Enqueue(packet("x"))
				k.Lose(c.lostAfter)
				k.Enqueue(packet("x"))
				for q.Stats().Packets < 4 {
					take()
				}
				if s := q.Stats(); s.Lost != c.lost || s.Bypassed != c.bypassed {
					t.Errorf("stats %+v, want %d lost, %d bypassed", s, c.lost, c.bypassed)
				}
				for range c.reports {
					nextLoss(t, reported)
				}
				reported.WantNoMore(t)
			})
		}
	}
}

// A gap that is seen after Configure, with no packet in between, is older.
func TestGapThatIsSeenAfterConfigureIsOlder(t *testing.T) {
	reported := new(testkit.Errors)
	cfg := nfqueue.Config{Queue: 7, OnError: reported.Add}
	q, k := open(t, cfg)
	start(t, q, accept)
	k.Verdict(k.Enqueue(packet("x")))
	k.Lose(5)
	cfg.FailOpen = true
	if err := q.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	k.Verdict(k.Enqueue(packet("x")))
	if got := nextLoss(t, reported); got.Bypassed || got.Lost != 5 {
		t.Errorf("reported %+v", got)
	}
}
