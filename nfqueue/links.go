package nfqueue

import "github.com/nfpacket/nfpacket/nfnl"

// Links returns a table of the interfaces in the network namespace of the queue, for
// Packet.Named. It starts a goroutine, which runs until Links.Close. Queue.Close does
// not close it. See nfnl.Conn.Links for the privilege it needs.
func (q *Queue) Links() (*nfnl.Links, error) {
	q = q.orClosed()
	l, err := q.conn.Links()
	return (*nfnl.Links)(l), q.wrap(err)
}

// Links is Queue.Links: all queues are in one network namespace.
func (qs *Queues) Links() (*nfnl.Links, error) {
	if qs.Len() == 0 {
		return nil, errNoQueues
	}
	return qs.queues[0].Links()
}
