package main

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"
)

// A Sink is where blocks go.
type Sink interface {
	// Send returns nil once the block is stored for good. After an error it may be
	// stored all the same; sent again it is not stored twice, or can be told to be
	// the same.
	Send(ctx context.Context, b *Block) error

	// Last returns the Number of the last record of this host and group that is
	// stored, or 0 if that cannot be known.
	Last(ctx context.Context) (uint64, error)
	Close() error
}

// A Sender sends the blocks of a ring, one after the other, each until it is
// acknowledged.
type Sender struct {
	Ring  *Ring
	Sink  Sink
	Tally *Tally

	resumed      bool          // a block says what earlier processes lost
	acknowledged atomic.Uint64 // records
	unsent       atomic.Uint64 // records taken from the ring and not acknowledged
	retries      atomic.Uint64
}

// The pause before a block is sent again, and how long one attempt may take.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	attempt    = 5 * time.Second
)

// Run sends until ctx is done.
func (s *Sender) Run(ctx context.Context) {
	for {
		b, err := s.Ring.Take(ctx)
		if err != nil {
			return
		}
		s.unsent.Store(uint64(len(b.Records)))
		if !s.send(ctx, b) {
			return
		}
		s.Tally.stored(b.Records[len(b.Records)-1].Number)
		s.unsent.Store(0)
		s.acknowledged.Add(uint64(len(b.Records)))
	}
}

// send sends a block until it is acknowledged, or ctx is done.
func (s *Sender) send(ctx context.Context, b *Block) bool {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		trying, cancel := context.WithTimeout(ctx, attempt)
		err := s.try(trying, b)
		cancel()
		if err == nil {
			return true
		}
		if s.retries.Add(1) == 1 {
			log.Printf("will send again until it is acknowledged: %v", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// try sends a block. The first says what is missing before it.
func (s *Sender) try(ctx context.Context, b *Block) error {
	if !s.resumed {
		last, err := s.Sink.Last(ctx)
		if err != nil {
			return err
		}
		b.Records[0].Lost += s.Tally.missing(last)
		s.resumed = true
	}
	return s.Sink.Send(ctx, b)
}

// Counts are what became of records: each that was added to the ring is in one of
// these.
type Counts struct {
	Acknowledged uint64 // stored for good
	Dropped      uint64 // by the ring
	Left         uint64 // not sent, or sent and not acknowledged
	Retries      uint64 // blocks that were sent again
}

// Counts returns the counts, exact once Run has returned.
func (s *Sender) Counts() Counts {
	waiting, dropped := s.Ring.Counts()
	return Counts{
		Acknowledged: s.acknowledged.Load(),
		Dropped:      dropped,
		Left:         uint64(waiting) + s.unsent.Load(),
		Retries:      s.retries.Load(),
	}
}

// String returns the counts as a sentence.
func (c Counts) String() string {
	return fmt.Sprintf("%d acknowledged, %d dropped, %d left, %d sent again", c.Acknowledged, c.Dropped, c.Left, c.Retries)
}
