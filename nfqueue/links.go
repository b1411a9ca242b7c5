package nfqueue

import "github.com/nfpacket/nfpacket/nfnl"

// Links returns a table of the interfaces in the Queue's network namespace, for
// Packet.Named. It costs a goroutine until it is closed: close the Links
// yourself, Queue.Close does not. See nfnl.Conn.Links for the privilege it needs.
func (q *Queue) Links() (*nfnl.Links, error) {
	q = q.orClosed()
	l, err := q.conn.Links()
	return l, q.wrap(err)
}

// Links is Queue.Links: all queues are in one network namespace.
func (qs *Queues) Links() (*nfnl.Links, error) {
	if qs.Len() == 0 {
		return nil, errNoQueues
	}
	return qs.queues[0].Links()
}
