package nfqueue_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A loop that forgets Send shows in Stats, also if the Batch is forgotten too.
func TestForgottenSendShowsInStats(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for i := range 3 {
		k.Enqueue(packet("x"))
		k.Enqueue(packet("y"))
		b := q.NewBatch()
		if err := q.Receive(b); err != nil {
			t.Fatal(err)
		}
		if s := q.Stats(); s.Undecided != 2*(i+1) || s.Packets != uint64(2*(i+1)) {
			t.Errorf("stats %+v after %d batches", s, i+1)
		}
	}
}

func TestUndecidedAreThoseWithoutAVerdict(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	b := q.NewBatch()
	for range 4 {
		k.Enqueue(packet("x"))
	}
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	want := func(undecided, held int) {
		t.Helper()
		if s := q.Stats(); s.Undecided != undecided || s.Held != held {
			t.Errorf("%d undecided and %d held, want %d and %d", s.Undecided, s.Held, undecided, held)
		}
	}
	want(4, 0)
	if err := b.Packets[1].Ticket().SetVerdict(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	want(4, 0) // until Send
	b.Verdicts[0] = nfqueue.Hold()
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	want(0, 1)
	if err := q.SetVerdict(1, nfqueue.Drop()); err != nil {
		t.Fatal(err)
	}
	want(0, 0)
}

func TestPacketsBehindABlockedHandlerAreUndecided(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	entered, release := make(chan struct{}, 3), make(chan struct{})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	start(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		entered <- struct{}{}
		<-release
		return nfqueue.Accept()
	})
	testkit.Next(t, entered)
	if s := q.Stats(); s.Undecided != 3 {
		t.Errorf("stats %+v", s)
	}
	close(release)
	for id := uint32(1); id <= 3; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	testkit.Await(t, "Stats.Undecided is 0", func() bool { return q.Stats().Undecided == 0 })
}
