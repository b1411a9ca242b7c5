package nfqueue_test

import (
	"errors"
	"math"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// receive receives n packets into b, which are on the socket.
func receive(t testing.TB, q *nfqueue.Queue, b *nfqueue.Batch, n int) {
	t.Helper()
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	if len(b.Packets) != n || len(b.Verdicts) != n {
		t.Fatalf("%d packets and %d verdicts, want %d", len(b.Packets), len(b.Verdicts), n)
	}
}

func TestSendReturnsTheVerdicts(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	a, b, c := k.Enqueue(packet("x")), k.Enqueue(packet("y")), k.Enqueue(packet("z"))
	batch := q.NewBatch()
	receive(t, q, batch, 3)
	batch.Verdicts[0] = nfqueue.Accept()
	batch.Verdicts[2] = nfqueue.Hold()
	if left := k.Waiting(); len(left) != 3 {
		t.Errorf("before Send %v wait", left)
	}
	if err := errors.Join(q.Send(batch), q.Send(batch)); err != nil { // the second does nothing
		t.Fatal(err)
	}
	wantVerdict(t, k, a, nfqueue.Accept())
	wantVerdict(t, k, b, nfqueue.Drop())
	if err := q.SetVerdict(c, nfqueue.Stop()); err != nil {
		t.Error(err)
	}
	wantVerdict(t, k, c, nfqueue.Stop())
	if s := q.Stats(); s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Which packet a verdict is for does not depend on what the user makes of the
// slices.
func TestVerdictsAreOnPacketsAsTheyCame(t *testing.T) {
	accept, stop, drop := nfqueue.Accept(), nfqueue.Stop(), nfqueue.Drop()
	for name, c := range map[string]struct {
		edit func(b *nfqueue.Batch)
		want [2]nfqueue.Verdict
	}{
		"Packets shortened":        {func(b *nfqueue.Batch) { b.Packets = b.Packets[:1] }, [2]nfqueue.Verdict{accept, stop}},
		"Packets from the second":  {func(b *nfqueue.Batch) { b.Packets = b.Packets[1:] }, [2]nfqueue.Verdict{accept, stop}},
		"Packets nil":              {func(b *nfqueue.Batch) { b.Packets = nil }, [2]nfqueue.Verdict{accept, stop}},
		"Packets longer":           {func(b *nfqueue.Batch) { b.Packets = append(b.Packets, nfqueue.Packet{}) }, [2]nfqueue.Verdict{accept, stop}},
		"Packets in another order": {func(b *nfqueue.Batch) { slices.Reverse(b.Packets) }, [2]nfqueue.Verdict{accept, stop}},
		"Verdicts shortened":       {func(b *nfqueue.Batch) { b.Verdicts = b.Verdicts[:1] }, [2]nfqueue.Verdict{accept, drop}},
		"Verdicts nil":             {func(b *nfqueue.Batch) { b.Verdicts = nil }, [2]nfqueue.Verdict{drop, drop}},
		"Verdicts longer":          {func(b *nfqueue.Batch) { b.Verdicts = append(b.Verdicts, drop) }, [2]nfqueue.Verdict{accept, stop}},
		"both nil":                 {func(b *nfqueue.Batch) { b.Packets, b.Verdicts = nil, nil }, [2]nfqueue.Verdict{drop, drop}},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{Batch: 2})
			b := q.NewBatch()
			for range 3 { // and the Batch is as good as before
				ids := [2]uint32{k.Enqueue(packet("x")), k.Enqueue(packet("y"))}
				receive(t, q, b, 2)
				b.Verdicts[0], b.Verdicts[1] = accept, stop
				c.edit(b)
				if err := q.Send(b); err != nil {
					t.Fatal(err)
				}
				for i, id := range ids {
					wantVerdict(t, k, id, c.want[i])
				}
			}
		})
	}
}

func TestForgottenSendIsMadeUpFor(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	a, b := k.Enqueue(packet("x")), k.Enqueue(packet("y"))
	batch := q.NewBatch()
	receive(t, q, batch, 2)
	batch.Verdicts[0] = nfqueue.Accept()
	if err := q.TryReceive(batch); err != nil || len(batch.Packets) != 0 {
		t.Fatalf("%d packets, %v", len(batch.Packets), err)
	}
	wantVerdict(t, k, a, nfqueue.Accept())
	wantVerdict(t, k, b, nfqueue.Drop())
}

func TestVerdictsStartAsDrop(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	batch := q.NewBatch()
	for range 2 {
		id := k.Enqueue(packet("x"))
		receive(t, q, batch, 1)
		if !batch.Verdicts[0].Equal(nfqueue.Drop()) {
			t.Errorf("it starts as %v", batch.Verdicts[0])
		}
		batch.Verdicts[0] = nfqueue.Accept()
		if err := q.Send(batch); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, k, id, nfqueue.Accept())
	}
}

func TestBatchIsAsLargeAsConfigured(t *testing.T) {
	q, k := open(t, nfqueue.Config{Batch: 2})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	batch := q.NewBatch()
	receive(t, q, batch, 2)
	receive(t, q, batch, 1)
}

func TestTicketOfAReceivedPacketWinsOverSend(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	id := k.Enqueue(packet("x"))
	batch := q.NewBatch()
	receive(t, q, batch, 1)
	if err := batch.Packets[0].Ticket().SetVerdict(nfqueue.Stop()); err != nil {
		t.Fatal(err)
	}
	batch.Verdicts[0] = nfqueue.Accept()
	if err := q.Send(batch); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
}

func TestTryReceiveDoesNotWait(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	batch := q.NewBatch()
	if err := q.TryReceive(batch); err != nil || len(batch.Packets) != 0 {
		t.Errorf("%d packets, %v", len(batch.Packets), err)
	}
	k.Enqueue(packet("x"))
	if err := q.TryReceive(batch); err != nil || len(batch.Packets) != 1 {
		t.Errorf("%d packets, %v", len(batch.Packets), err)
	}
}

func TestTryReceiveBehindAWaitingRun(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	batch := q.NewBatch()
	for range 100 {
		if err := q.TryReceive(batch); err != nil || len(batch.Packets) > 1 {
			t.Fatalf("%d packets, %v", len(batch.Packets), err)
		}
	}
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
}

func TestReceiveEndsAtItsDeadlineAndAtClose(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	batch := q.NewBatch()
	if err := q.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := q.Receive(batch); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Receive returned %v", err)
	}
	if err := q.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := testkit.Background(func() error { return q.Receive(batch) })
	q.Close()
	if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive returned %v", err)
	}
}

// held puts n packets on hold.
func held(t testing.TB, q *nfqueue.Queue, k *nfqueuetest.Kernel, n int) {
	t.Helper()
	for range n {
		k.Enqueue(packet("x"))
	}
	for batch := q.NewBatch(); q.Stats().Held < n; {
		if err := q.Receive(batch); err != nil {
			t.Fatal(err)
		}
		for i := range batch.Verdicts {
			batch.Verdicts[i] = nfqueue.Hold()
		}
		if err := q.Send(batch); err != nil {
			t.Fatal(err)
		}
	}
}

// A system call that the scheduler does not know of stops the garbage collector
// for as long as it takes.
func TestOnlyShortVerdictsAreSentByAShortCall(t *testing.T) {
	many := func(n int, p nfqueue.Packet) (ps []nfqueue.Packet) {
		for range n {
			ps = append(ps, p)
		}
		return ps
	}
	small, full := nfqueue.Packet{Len: 60}, nfqueue.Packet{Len: 1500}
	for name, c := range map[string]struct {
		packets []nfqueue.Packet
		msg     int
		held    int
		short   bool
	}{
		"a small packet":                {many(1, small), 32, 0, true},
		"a batch of small packets":      {many(64, small), 32, 0, true},
		"a batch, while some are held":  {many(64, small), 32, 100, true},
		"a batch, while many are held":  {many(64, small), 32, 1000, false},
		"one, while many are held":      {many(1, small), 32, 8192, true},
		"one, while thousands are held": {many(1, small), 32, 16000, false},
		"a batch of full packets":       {many(64, full), 32, 0, true},
		"a batch of rewritten packets":  {many(64, full), 64 * 1536, 0, false},
		"more packets than are usual":   {many(65, small), 32, 0, false},
		"as much as is short":           {many(1, nfqueue.Packet{Len: 128<<10 - 32}), 32, 0, true},
		"more":                          {many(1, nfqueue.Packet{Len: 128<<10 - 31}), 32, 0, false},
		"the longest GSO packet":        {many(1, nfqueue.Packet{Len: 65535, GSO: true}), 32, 0, true},
		"three of these":                {many(3, nfqueue.Packet{Len: 65535, GSO: true}), 32, 0, false},
		"a length that no packet has":   {many(1, nfqueue.Packet{Len: math.MaxInt32}), 32, 0, false},
		"many that no packet has":       {many(64, nfqueue.Packet{Len: math.MaxInt32}), 32, 0, false},
	} {
		if short := nfqueue.Short(make([]byte, c.msg), c.held, c.packets...); short != c.short {
			t.Errorf("%s: short is %v", name, short)
		}
	}
}
