package engine

import "slices"

// This file bounds what a Request takes off the socket and keeps for the next Receive.

// keep copies a datagram aside for the next Receive.
func (c *Conn) keep(s slot) {
	s.buf, s.got = nil, slices.Clone(s.got)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, s)
	c.keeps += s.cost()
}

// leastCost is what the kernel charges the receive buffer for a datagram beside its
// bytes, at least.
const leastCost = 768

// cost returns what s counts as kept, in the kernel's terms.
func (s *slot) cost() int { return leastCost + len(s.got) }

// pipeBuffer stands in for the size of the receive buffer where there is none of
// the kernel's.
const pipeBuffer = 64 << 20

// keepSize returns the size of the receive buffer, which bounds what is kept.
func (c *Conn) keepSize() int {
	if n, err := readBuffer(c.t); err == nil {
		return n
	}
	return c.pipeBuffer
}

// queued returns what is on the socket, as the kernel charges it to the receive
// buffer; 0 where that is not known.
func queued(t transport) int {
	if s, ok := t.(interface{ queued() int }); ok {
		return s.queued()
	}
	return 0
}

// mostKept returns how much is kept at most: more than the limit of awaitRoom, for
// packets that arrive between two tries.
func (c *Conn) mostKept() int64 {
	size := int64(c.keepSize())
	return size*3/2 + size/8
}

// LoseUnread makes Request drop what it has no room to keep, instead of failing. It
// is for copies of packets, whose receiver sees from their numbers what is missing.
func (c *Conn) LoseUnread() {
	if !c.never() {
		c.lossy.Store(true)
	}
}

// keptBytes returns how much is kept.
func (c *Conn) keptBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.keeps)
}

// keepsAll reports whether what is kept has no bound: for Seal, which is called
// once, and before which a finite number of packets arrived, and after End, when
// nothing is received any more. Requests beside a Seal have a bound, because
// their number has none.
func (c *Conn) keepsAll(r *request) bool {
	return r != nil && r.seals || c.sealed.Load() == ended
}

// awaitRoom waits until r may keep what is on the socket.
func (c *Conn) awaitRoom(r *request) error {
	return c.whileReceived(func() bool {
		kept := c.keptBytes()
		return kept == 0 || c.lossy.Load() || kept+int64(queued(c.t)) <= int64(c.keepSize())*3/2 || c.keepsAll(r)
	})
}

// Buffered returns how many datagrams Buffer and Request have taken off the socket
// for the next Receive, which returns these before any other.
func (c *Conn) Buffered() int {
	if c.never() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}
