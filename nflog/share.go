package nflog

import (
	"fmt"
	"slices"
)

// This file has what loops and calls of Receive share: the binding of the
// groups, and buffers.

// join adds to r.users.
func (r *Reader) join() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users++
}

// leave undoes join.
func (r *Reader) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
}

// leaveAndUnbind is leave, but the last of the users unbinds the groups. It
// reports whether it was the last, and whether they are unbound.
func (r *Reader) leaveAndUnbind() (last, unbound bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
	if r.users > 0 {
		return false, !r.bound, nil
	}
	if !r.bound {
		r.collecting++
		return true, true, nil
	}
	unbound, err = r.unbind()
	r.collecting++
	return true, unbound, err
}

// collected says that a loop which was the last has read what there was.
func (r *Reader) collected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.collecting--
}

// bindAgain binds the groups unless another has done so.
func (r *Reader) bindAgain() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bound {
		return nil
	}
	if refused, err := r.bind(*r.cfg()); err != nil {
		return fmt.Errorf("open %w", r.explain(refused, *r.cfg(), err))
	}
	return nil
}

// takeLeft exchanges *b for the oldest buffer that a loop has left behind. It
// returns false if there is none, and tells whether the groups are bound.
func (r *Reader) takeLeft(b **buffer) (left, bound bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) == 0 {
		return false, r.bound
	}
	r.idle = append(r.idle, *b)
	*b = r.left[0]
	r.left = slices.Delete(r.left, 0, 1)
	return true, r.bound
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

// giveUp takes a loop's buffer back, with what is left in it.
func (r *Reader) giveUp(b *buffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed.Load():
	case len(b.rest()) > 0:
		r.left = append(r.left, b)
	default:
		r.idle = append(r.idle, b)
	}
}
