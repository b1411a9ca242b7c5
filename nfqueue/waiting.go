package nfqueue

import (
	"net"
	"slices"
	"sync"
)

// waiting knows which packets a verdict from outside of their handler may
// answer: those that are held, and those that are in a batch whose handlers
// are not through. Every packet is taken off it once, by whoever answers it.
type waiting struct {
	mu      sync.Mutex
	held    map[uint32]struct{}
	limit   uint64 // of held
	batches []*Batch
	closed  bool
}

// hold lists a packet as held. It returns false if there are as many as the
// kernel's queue has room for: some of them then are ones that the kernel has
// dropped since, and that nobody will answer.
func (w *waiting) hold(id uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if uint64(len(w.held)) >= w.limit {
		return false
	}
	if !w.closed {
		w.held[id] = struct{}{}
	}
	return true
}

// restore lists packets again whose verdict could not be sent.
func (w *waiting) restore(ids ...uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for _, id := range ids {
		w.held[id] = struct{}{}
	}
}

// add lists the packets of b, as they are now.
func (w *waiting) add(b *Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, b)
}

// remove takes b off the list.
func (w *waiting) remove(b *Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.batches, b); i >= 0 {
		w.batches = slices.Delete(w.batches, i, i+1)
	}
}

// claim takes a packet off the list. It returns ErrDecided if it is not there.
func (w *waiting) claim(id uint32) error {
	b, err := w.claimHeld(id)
	if b == nil {
		return err
	}
	if b.claim(id) {
		return nil
	}
	// Its handler has returned in the meantime, perhaps with Hold.
	if b, err = w.claimHeld(id); b == nil {
		return err
	}
	return ErrDecided
}

// claimHeld takes a packet off the list if it is held, and else returns the
// batch that it is in, if any.
func (w *waiting) claimHeld(id uint32) (*Batch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, net.ErrClosed
	}
	if _, ok := w.held[id]; ok {
		delete(w.held, id)
		return nil, nil
	}
	for _, b := range w.batches {
		if b.index(id) >= 0 {
			return b, nil
		}
	}
	return nil, ErrDecided
}

// take takes up to n held packets off the list, in no order.
func (w *waiting) take(n int) []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []uint32
	for id := range w.held {
		if len(ids) == n {
			break
		}
		ids = append(ids, id)
		delete(w.held, id)
	}
	slices.Sort(ids) // kernels before 7.0 walk a list from the oldest on
	return ids
}

// count returns how many packets are held.
func (w *waiting) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}

// close empties the list for good.
func (w *waiting) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	clear(w.held)
}
