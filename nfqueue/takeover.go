package nfqueue

import "sync/atomic"

// This file counts the packets that wait in a queue which was taken over (OpenConn),
// and which only the previous program has received:
//
//	IDs       1   2   3   4   5   6        last at Open: 6
//	received  by the previous program: 1 2 3
//	          by this one: 4 5 6, and later ones
//	waiting   6 at Open, so 3 that this program never receives
//
// Only a program that can read the kernel's list of queues can count them.

// inherited counts these packets.
type inherited struct {
	n        atomic.Int64 // below 0 is none
	last     uint32       // ID of the last packet before Open; set by Open
	counting bool         // earlier packets may still be received; the Conn guards it, as it does Queue.counted
}

// open begins to count, from the state s of the queue that was taken over.
func (h *inherited) open(s *KernelStats) {
	h.last, h.counting = s.LastID, true
	h.n.Store(int64(s.Waiting))
}

// received notes a packet.
func (h *inherited) received(id uint32) {
	if !h.counting {
		return
	}
	if h.counting = !after(id, h.last); h.counting {
		h.n.Add(-1)
	}
}

// decidedUpTo notes a verdict on all packets up to an ID.
func (h *inherited) decidedUpTo(id uint32) {
	if !after(h.last, id) {
		h.n.Store(0)
	}
}

// left returns how many there are, at most as many as still wait.
func (h *inherited) left(waiting int) int { return max(0, min(int(h.n.Load()), waiting)) }
