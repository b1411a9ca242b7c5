package nflog

import (
	"errors"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// This file binds groups and unbinds them.

// bind binds all groups and sets them up, or none; it returns the one that was
// refused.
func (r *Reader) bind(c Config) (refused *group, err error) {
	for i := range r.groups {
		g := &r.groups[i]
		if err := r.bindGroup(g, c); err != nil {
			r.unbind(r.groups[:i])
			return g, err
		}
	}
	return nil, nil
}

// bindGroup binds one group, whose packets are numbered from 0 on then.
func (r *Reader) bindGroup(g *group, c Config) error {
	g.own, g.next, g.counted = true, 0, true
	err := r.conn.Request(c.bind(g.number))
	if errors.Is(err, syscall.EBUSY) {
		// The group is already bound to the socket: it was passed with the
		// connection, or bound by a Request whose answer was lost. Its last sequence
		// number is not known, and its buffer may be the largest.
		g.own, g.counted = false, false
		if err = r.growToLongest(); err == nil {
			err = r.conn.Request(c.change(g.number))
		}
	}
	return err
}

// growToLongest makes room for the longest datagram of a group that another program
// has configured.
func (r *Reader) growToLongest() error {
	return r.conn.GrowBuffers(slotSize(maxBufferSize, maxCopyRange))
}

// unbindAtOnce is how many groups one system call unbinds, with room made on the
// socket before for what the kernel has collected in them.
const unbindAtOnce = 64

// unbind unbinds those of the groups that the Reader has bound, upon which the
// kernel delivers the packets it has collected. It begins with the group bound
// last, which the kernel finds first (instance_lookup). The kernel refuses either
// all groups, without the privilege, or none, so it is asked to answer for one
// only.
func (r *Reader) unbind(groups []group) error {
	for end := len(groups); end > 0; end -= unbindAtOnce {
		if err := r.conn.Buffer(); err != nil {
			return err
		}
		if err := r.unbindSome(groups[max(end-unbindAtOnce, 0):end]); err != nil {
			return err
		}
	}
	return nil
}

// unbindSome is unbind for as many as one system call takes.
func (r *Reader) unbindSome(groups []group) error {
	var last engine.Message
	var msgs []byte
	for i := len(groups) - 1; i >= 0; i-- {
		if !groups[i].own {
			continue
		}
		if last.Type != 0 {
			msgs = last.Append(msgs)
		}
		last = command(groups[i].number, commandUnbind)
		last.Flags = engine.FlagRequest
	}
	if last.Type == 0 {
		return nil
	}
	if len(msgs) > 0 {
		if err := r.conn.Send(msgs); err != nil {
			return err
		}
	}
	err := r.conn.Request(last)
	if errors.Is(err, syscall.ENODEV) {
		return nil // done by a Request whose answer was lost
	}
	return err
}
