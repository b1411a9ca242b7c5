package nflog

import (
	"fmt"
	"sync/atomic"
)

// A group is one that the Reader has bound, or has taken over.
type group struct {
	number uint16
	own    bool // bound by this Reader

	// Guarded by the Conn, which delivers one message at a time.
	next    uint32 // the next sequence number
	counted bool   // next is known

	packets, lost atomic.Uint64
}

// groupTable returns the groups, and a map of them by number. The error names a
// number that is there twice.
func groupTable(numbers []uint16) ([]group, map[uint16]*group, error) {
	groups, index := make([]group, len(numbers)), make(map[uint16]*group, len(numbers))
	for i, n := range numbers {
		if index[n] != nil {
			return nil, nil, fmt.Errorf("nflog: Config.Groups has %d twice", n)
		}
		groups[i].number = n
		index[n] = &groups[i]
	}
	return groups, index, nil
}

// gap counts the numbers between the last packet of g and this one: the kernel
// numbers packets before it finds that they have no room on the socket
// (__build_packet_message). A number from the past is no gap.
func (g *group) gap(seq uint32) uint32 {
	lost := seq - g.next
	if !g.counted || lost >= 1<<31 {
		lost = 0
	}
	g.next, g.counted = seq+1, true
	return lost
}

// follows notes a packet as gap does, if it has the next number. It returns false if
// it has another, or if the next number is not known.
func (g *group) follows(seq uint32) bool {
	if seq != g.next || !g.counted {
		return false
	}
	g.next++
	return true
}

// group returns the group of that number, or nil if it is not one of ours. It
// is only called by a Batch's take.
func (r *Reader) group(number uint16) *group {
	if r.last.number != number {
		g := r.index[number]
		if g == nil {
			return nil
		}
		r.last = g
	}
	return r.last
}
