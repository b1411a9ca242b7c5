package nflog

import (
	"errors"
	"syscall"
)

// This file binds groups and unbinds them. r.mu is held, or nobody else has r
// yet.

// bind binds all groups and sets them up, or none; it returns the one that was
// refused.
func (r *Reader) bind(c Config) (refused *group, err error) {
	for i := range r.groups {
		g := &r.groups[i]
		if err := r.bindGroup(g, c); err != nil {
			r.giveBack(r.groups[:i])
			return g, err
		}
	}
	r.bound = true
	return nil, nil
}

// bindGroup binds one group.
func (r *Reader) bindGroup(g *group, c Config) error {
	unknown := uint32(0)
	if r.collecting > 0 {
		unknown = 1 // packets numbered by the old binding may come behind this
	}
	g.restart(unknown)
	err := r.conn.Request(c.bind(g.number))
	if errors.Is(err, syscall.EBUSY) {
		// Ours already: given to us with the connection, or bound by a Request
		// whose answer was lost.
		if err = r.adopt(g); err == nil {
			err = r.conn.Request(c.change(g.number))
		}
	}
	return err
}

// adopt says that the socket has the group already. Where its numbers have got
// to is for a packet to tell, and its buffer may be the largest.
func (r *Reader) adopt(g *group) error {
	g.restart(1)
	return r.conn.GrowBuffers(slotSize(maxBufferSize, maxCopyRange))
}

// giveBack undoes bindGroup, where it can.
func (r *Reader) giveBack(groups []group) {
	for i := range groups {
		if g := &groups[i]; !g.adopted() {
			r.conn.Request(Config{}.Unbind(g.number))
		}
	}
}

// unbind gives the groups back, which makes the kernel deliver what it has
// collected. It reports whether they all are.
func (r *Reader) unbind() (bool, error) {
	// Make room for that: what a full socket loses now, no number tells.
	if err := r.conn.Buffer(); err != nil || r.cfg().Adopt {
		return false, err
	}
	for i := range r.groups {
		err := r.conn.Request(Config{}.Unbind(r.groups[i].number))
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
