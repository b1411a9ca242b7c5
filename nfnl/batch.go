package nfnl

import "github.com/nfpacket/nfpacket/internal/engine"

// A Batch holds the buffers of one Receive; NewBatch makes it. Use it again and
// again; concurrent calls of Receive each need one of their own.
type Batch engine.Batch

// NewBatch returns a Batch for n datagrams of up to size bytes each, at least
// one. Memory is touched only as packets need it. On Linux it is outside of the Go
// heap, and used again once the Batch is gone: keep the Batch as long as what it
// brought.
//
// Every message that is not the answer to a Request goes to take, in the order in
// which the kernel sent it; across all the batches of a Conn, one call at a time. The
// message is valid until the next Receive with the same Batch. With an error, which
// wraps ErrMalformed, comes as much of the message as could be read. take must not
// call Receive or Request of the Conn.
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
