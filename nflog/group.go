package nflog

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/nfpacket/nfpacket/nfnl"
)

// A group is one that the Reader has bound.
type group struct {
	number uint16

	// binding changes whenever the kernel starts to number packets anew. Its
	// lowest bit says that the number to start with is not known.
	binding atomic.Uint32

	// Of the last packet received; guarded by the Conn, which hands out one
	// message at a time.
	seen    uint32 // binding
	next    uint32 // the sequence number to come
	counted bool   // next is known
}

// restart says that packets are numbered from 0 on, or from an unknown number
// if the group is adopted.
func (g *group) restart(adopted uint32) {
	g.binding.Store((g.binding.Load() | 1) + 1 | adopted)
}

// adopted reports whether the socket had the group before the Reader.
func (g *group) adopted() bool { return g.binding.Load()&1 != 0 }

// gap counts the numbers between the last packet of g and this one: the kernel
// numbers packets before it finds that they have no room on the socket
// (__build_packet_message). A number from the past is no gap.
func (g *group) gap(seq uint32) uint32 {
	if binding := g.binding.Load(); g.seen != binding {
		g.seen, g.next, g.counted = binding, 0, binding&1 == 0
	}
	lost := seq - g.next
	if !g.counted || lost >= 1<<31 {
		lost = 0
	}
	g.next, g.counted = seq+1, true
	return lost
}

// group returns the group of that number, or nil if it is not one of ours. It
// is only called by a Batch's take.
func (r *Reader) group(number uint16) *group {
	if r.last.number != number {
		for i := range r.groups {
			if r.groups[i].number == number {
				r.last = &r.groups[i]
				return r.last
			}
		}
		return nil
	}
	return r.last
}

// bind binds all groups, or none. r.mu is held.
func (r *Reader) bind() error {
	for i := range r.groups {
		g := &r.groups[i]
		if err := r.bindGroup(g); err != nil {
			err = fmt.Errorf("open group %d: %w", g.number, r.explain(err, g.number))
			r.giveBack(r.groups[:i])
			return err
		}
	}
	r.bound = true
	return nil
}

// bindGroup binds one group.
func (r *Reader) bindGroup(g *group) error {
	m, err := r.cfg.Bind(g.number)
	if err != nil {
		return err
	}
	g.restart(0)
	err = r.conn.Request(m)
	if errors.Is(err, syscall.EBUSY) {
		// Ours already: given to us with the connection, or bound by a Request
		// whose answer was lost.
		g.restart(1)
		err = r.conn.Request(r.cfg.adopt(g.number))
	}
	return err
}

// giveBack undoes bindGroup, where it can.
func (r *Reader) giveBack(groups []group) {
	for i := range groups {
		if g := &groups[i]; !g.adopted() {
			r.conn.Request(r.cfg.Unbind(g.number))
		}
	}
}

// unbind gives the groups back, which makes the kernel deliver what it has
// collected. It reports whether they all are. r.mu is held.
func (r *Reader) unbind() (bool, error) {
	// Make room for that: what a full socket loses now, no number tells.
	if err := r.conn.Buffer(); err != nil {
		return false, err
	}
	for i := range r.groups {
		err := r.conn.Request(r.cfg.Unbind(r.groups[i].number))
		if errors.Is(err, syscall.ENODEV) {
			continue // done by a Request whose answer was lost
		}
		if errors.Is(err, syscall.EPERM) {
			return false, nil // what is open is ours to read, without privilege
		}
		if err != nil {
			r.bound = i == 0 // else the next receive binds what is missing
			return false, err
		}
	}
	r.bound = false
	return true, nil
}

// explain adds to the kernel's refusal of the configuration what to do about it.
func (r *Reader) explain(err error, group uint16) error {
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("%w: this kernel knows not all of the flags set by Config.Flags", err)
	}
	return r.conn.Explain(err, nfnl.SubsystemLog, group, ErrTaken)
}
