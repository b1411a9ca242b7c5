package nflog

import "slices"

// This file has the buffers of loops: each loop borrows one. The packets in it
// that the loop has not yielded are the first that the next loop or receive
// returns.

// takeLeft exchanges *b for the oldest buffer with packets that a loop has not
// yielded. It returns false if there is none.
func (r *Reader) takeLeft(b **buffer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) == 0 {
		return false
	}
	r.idle = append(r.idle, *b)
	*b = r.left[0]
	r.left = slices.Delete(r.left, 0, 1)
	return true
}

// borrow returns a buffer for a loop.
func (r *Reader) borrow() *buffer {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.idle) - 1
	if n < 0 {
		return r.newBuffer()
	}
	b := r.idle[n]
	r.idle = r.idle[:n]
	b.clear()
	return b
}

// giveUp returns a loop's buffer to the Reader. It reports whether the buffer still
// has packets.
func (r *Reader) giveUp(b *buffer) (left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed.Load():
		r.discard(b)
	case len(b.rest()) > 0:
		r.left = append(r.left, b)
		return true
	default:
		r.idle = append(r.idle, b)
	}
	return false
}

// discard counts the packets in b that no loop has yielded, and will not.
func (r *Reader) discard(b *buffer) {
	r.discarded.Add(uint64(len(b.rest())))
	b.next = len(b.packets)
}
