package nfnl

import "github.com/nfpacket/nfpacket/internal/engine"

// A Batch has the buffers of one Receive. Create it with NewBatch. It can be reused,
// but concurrent calls of Receive need a Batch each.
type Batch engine.Batch

// NewBatch returns a Batch for n datagrams of up to size bytes each; an n below 1 means
// 1. A longer datagram is truncated, and take gets ErrMalformed for it. Physical memory
// is used only as far as datagrams fill the buffers. On Linux the buffers are not part
// of the Go heap, and are reused once the Batch is unreachable: keep the Batch
// reachable while its messages are used.
//
// take gets the kernel's messages in order. It gets no NLMSG_NOOP, no NLMSG_DONE and no
// reply to a Request, so the end of a dump cannot be seen. Calls of take do not
// overlap, not even those for different Batches of a Conn. m is valid until the next
// Receive with the same Batch. If err is not nil, it wraps ErrMalformed, and m holds
// the part that could be parsed. take must not call Receive or Request of the Conn.
func NewBatch(n, size int, take func(m Message, err error)) *Batch {
	return (*Batch)(engine.NewBatch(n, size, taker(take)))
}

// taker returns what calls take; nil if that is, which Receive reports.
func taker(take func(Message, error)) func(engine.Message, error) {
	if take == nil {
		return nil
	}
	return func(m engine.Message, err error) { take(Message(m), err) }
}
