package nfqueue

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// waiting knows which packets a verdict from outside of their handler may
// answer: those that are held, and those that are in a batch whose handlers
// are not through. Every packet is taken off it once, by whoever answers it:
// SetVerdict, the timer of HoldFor, Drain or Close.
type waiting struct {
	// unsettled counts the packets that are held, or were taken off the list and
	// whose verdict is not sent yet. While there are any, no verdict may be given
	// to all packets up to an ID.
	unsettled atomic.Int64

	mu      sync.Mutex
	held    map[uint32]heldPacket
	bytes   int // of the held packets
	expiry  expiry
	timer   *time.Timer // goes off when the first packet expires
	expire  func()
	batches []*Batch
	closed  bool
}

// A heldPacket is a packet that its handler answered with Hold.
type heldPacket struct {
	until time.Time // zero is for ever
	then  plain     // the verdict after that
	size  int       // in bytes
}

// limits are how much may be held.
type limits struct{ packets, bytes int }

// init makes the list ready; expire is called when packets have expired.
func (w *waiting) init(expire func()) {
	w.held = map[uint32]heldPacket{}
	w.expire = expire
}

// hold lists a packet as held. It returns false if there are too many.
func (w *waiting) hold(id uint32, p heldPacket, most limits) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) >= most.packets || p.size > most.bytes-w.bytes {
		return false
	}
	w.unsettled.Add(1)
	w.list(id, p)
	return true
}

// list lists a packet. The lock is held.
func (w *waiting) list(id uint32, p heldPacket) {
	if w.closed {
		return
	}
	w.held[id] = p
	w.bytes += p.size
	if p.until.IsZero() {
		return
	}
	if w.expiry.push(deadline{p.until, id}); w.expiry[0].id == id {
		w.arm()
	}
	if len(w.expiry) > 2*len(w.held)+minStale {
		w.expiry.keep(w.stands)
	}
}

// unlist takes a held packet off the list, if it is there. The lock is held.
func (w *waiting) unlist(id uint32) (heldPacket, bool) {
	p, ok := w.held[id]
	if ok {
		delete(w.held, id)
		w.bytes -= p.size
	}
	return p, ok
}

// restore lists packets again whose verdict could not be sent, without what
// HoldFor said.
func (w *waiting) restore(ids ...uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.list(id, heldPacket{})
	}
}

// sent says that the verdicts on n packets taken off the list are sent.
func (w *waiting) sent(n int) { w.unsettled.Add(int64(-n)) }

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
	if w.closed || w.held == nil {
		return nil, net.ErrClosed
	}
	if _, ok := w.unlist(id); ok {
		return nil, nil
	}
	for _, b := range w.batches {
		if b.index(id) >= 0 {
			return b, nil
		}
	}
	return nil, ErrDecided
}

// take takes up to n held packets off the list, the oldest of those first.
func (w *waiting) take(n int) []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []uint32
	for id := range w.held {
		if len(ids) == n {
			break
		}
		ids = append(ids, id)
		w.unlist(id)
	}
	slices.Sort(ids) // kernels before 7.0 walk a list from the oldest on
	return ids
}

// takeUpTo takes all held packets up to an ID off the list.
func (w *waiting) takeUpTo(last uint32) []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []uint32
	for id := range w.held {
		if !after(id, last) {
			ids = append(ids, id)
			w.unlist(id)
		}
	}
	return ids
}

// count returns how many packets, and bytes of them, are held.
func (w *waiting) count() (packets, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held), w.bytes
}

// close empties the list for good.
func (w *waiting) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	clear(w.held)
	w.bytes, w.expiry = 0, nil
	if w.timer != nil {
		w.timer.Stop()
	}
}
