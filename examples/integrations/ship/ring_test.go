package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever comes in whatever order, each record is taken once, in order, or
// counted as dropped, and the Lost of those taken say what is missing before them.
func TestRingLosesNothingUncounted(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := NewRing(2*blockRecords, func() string { return "" })
		var next, taken, gaps uint64
		take := func() {
			b := r.take()
			if b == nil {
				return
			}
			for _, rec := range b.Records {
				gaps += rec.Lost
				if want := taken + gaps; uint64(rec.Seq) != want {
					t.Fatalf("seed %d: record %d came, want %d", seed, rec.Seq, want)
				}
				taken++
			}
		}
		for range rnd.IntN(40) {
			for range rnd.IntN(400) {
				r.Add(Record{Seq: uint32(next)})
				next++
			}
			if rnd.IntN(3) == 0 {
				take()
			}
		}
		waiting, dropped := r.Counts()
		if next != taken+dropped+uint64(waiting) {
			t.Fatalf("seed %d: of %d records %d were taken, %d dropped, %d wait", seed, next, taken, dropped, waiting)
		}
		for r.waiting > 0 {
			take()
		}
		if next != taken+gaps {
			t.Fatalf("seed %d: of %d records %d were taken, and they say that %d are missing", seed, next, taken, gaps)
		}
	}
}

// What the kernel lost before a record that is dropped is not forgotten.
func TestRingAddsUpGaps(t *testing.T) {
	r := NewRing(blockRecords, func() string { return "" })
	for range blockRecords + 1 {
		r.Add(Record{Lost: 2})
	}
	b, err := r.Take(t.Context())
	if err != nil || len(b.Records) != 1 || b.Records[0].Lost != blockRecords*3+2 {
		t.Errorf("got %+v, %v; want one record, before which %d were lost", b, err, blockRecords*3+2)
	}
}

func TestTakeWaits(t *testing.T) {
	r := NewRing(1, func() string { return "x" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if b, err := r.Take(ctx); b != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v", b, err)
	}
	go func() { time.Sleep(time.Millisecond); r.Add(Record{Seq: 1}) }()
	if b, err := r.Take(t.Context()); err != nil || b.ID != "x" || len(b.Records) != 1 {
		t.Errorf("got %+v, %v", b, err)
	}
}

// flaky stores what it gets, and says so seldom.
type flaky struct {
	ids   []string
	calls int
}

func (f *flaky) Send(_ context.Context, b *Block) error {
	if len(f.ids) == 0 || f.ids[len(f.ids)-1] != b.ID {
		f.ids = append(f.ids, b.ID)
	}
	if f.calls++; f.calls%3 != 0 {
		return errors.New("no answer")
	}
	return nil
}

func (f *flaky) Last(context.Context) (uint64, error) { return 0, nil }

func (f *flaky) Close() error { return nil }

// A block is sent again under its own name until it is acknowledged, and only then
// comes the next.
func TestSenderSendsAgain(t *testing.T) {
	sink := &flaky{}
	s := &Sender{Ring: NewRing(1, Origin{"h", "b"}.blocks()), Sink: sink, Tally: newTally(t)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	for i := range 3 {
		s.Ring.Add(Record{})
		for s.Counts().Acknowledged != uint64(i+1) {
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	<-done
	if want := (Counts{Acknowledged: 3, Retries: 6}); s.Counts() != want || len(sink.ids) != 3 {
		t.Errorf("got %v of blocks %v, want %v", s.Counts(), sink.ids, want)
	}
}
