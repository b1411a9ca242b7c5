package nflog

import "sync/atomic"

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

// restart says that packets are numbered from 0 on, or if unknown is 1 from a
// number that is for a packet to tell.
func (g *group) restart(unknown uint32) {
	g.binding.Store((g.binding.Load() | 1) + 1 | unknown)
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

// follows notes a packet as gap does, if it is the one to come. It returns false
// if it is not, or if that is not known.
func (g *group) follows(seq uint32) bool {
	if seq != g.next || !g.counted || g.seen != g.binding.Load() {
		return false
	}
	g.next++
	return true
}

// group returns the group of that number, or nil if it is not one of ours. It
// is only called by a Batch's take.
func (r *Reader) group(number uint16) *group {
	if r.last.number == number {
		return r.last
	}
	return r.find(number)
}

// find is group for another than the last.
func (r *Reader) find(number uint16) *group {
	for i := range r.groups {
		if r.groups[i].number == number {
			r.last = &r.groups[i]
			return r.last
		}
	}
	return nil
}
