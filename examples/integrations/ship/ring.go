package main

import (
	"context"
	"sync"
)

// blockRecords is how many records one message carries at most.
const blockRecords = 500

// A Block is records that are sent and acknowledged together. It is never changed
// once it was taken from the ring: sent again it is the same, under the same ID.
type Block struct {
	ID      string
	Records []Record
}

// A Ring holds records that wait to be sent, in the order in which they came. When
// it is full the oldest go, a block at a time, and are counted: in Dropped, and in
// the next record's Lost.
type Ring struct {
	mu       sync.Mutex
	capacity int
	name     func() string // of the next block
	blocks   []*Block
	waiting  int    // records in blocks
	dropped  uint64 // in all
	gap      uint64 // of those and the kernel's, what no record says yet
	filled   chan struct{}
}

// NewRing returns a ring for so many records. name names blocks.
func NewRing(capacity int, name func() string) *Ring {
	return &Ring{capacity: max(capacity, blockRecords), name: name, filled: make(chan struct{}, 1)}
}

// Add adds a record. It never waits.
func (r *Ring) Add(rec Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.waiting >= r.capacity {
		r.drop()
	}
	rec.Lost += r.gap
	r.gap = 0
	if n := len(r.blocks); n == 0 || len(r.blocks[n-1].Records) == blockRecords {
		r.blocks = append(r.blocks, &Block{Records: make([]Record, 0, blockRecords)})
	}
	last := r.blocks[len(r.blocks)-1]
	last.Records = append(last.Records, rec)
	r.waiting++
	select {
	case r.filled <- struct{}{}:
	default:
	}
}

// drop drops the oldest block.
func (r *Ring) drop() {
	oldest := r.blocks[0]
	r.blocks = r.blocks[1:]
	n := uint64(len(oldest.Records))
	r.waiting -= len(oldest.Records)
	r.dropped += n
	for _, rec := range oldest.Records {
		n += rec.Lost
	}
	if len(r.blocks) == 0 {
		r.gap += n
		return
	}
	r.blocks[0].Records[0].Lost += n
}

// Take waits for records and takes the oldest block: up to blockRecords, as many
// as came while the block before was sent. It is no longer the ring's, which
// cannot drop it then. The error is ctx's.
func (r *Ring) Take(ctx context.Context) (*Block, error) {
	for {
		if b := r.take(); b != nil {
			return b, nil
		}
		select {
		case <-r.filled:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take takes the oldest block, if there is one, and names it.
func (r *Ring) take() *Block {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.blocks) == 0 {
		return nil
	}
	b := r.blocks[0]
	r.blocks = r.blocks[1:]
	r.waiting -= len(b.Records)
	b.ID = r.name()
	return b
}

// Counts returns how many records wait, and how many were dropped.
func (r *Ring) Counts() (waiting int, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting, r.dropped
}
