package engine

// Buffered returns how many datagrams Buffer and Request have taken off the
// socket for the next Receive, which brings these before any other.
func (c *Conn) Buffered() int {
	if c.never() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}
