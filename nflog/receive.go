package nflog

import "github.com/nfpacket/nfpacket/nfnl"

// news is what a receive learned besides packets.
type news struct {
	lost      []loss
	malformed []error // what was wrong with messages
}

// loss is a gap in the sequence numbers of a group.
type loss struct {
	group   uint16
	packets uint64
}

// clear forgets it.
func (n *news) clear() {
	clear(n.malformed)
	*n = news{lost: n.lost[:0], malformed: n.malformed[:0]}
}

// Receive waits for packets and fills b with them. Packets is built on it; use
// it to own the loop:
//
//	b := r.NewBatch()
//	for {
//		if err := r.Receive(b); err != nil {
//			return err
//		}
//		for i := range b.Packets {
//			record(&b.Packets[i])
//		}
//	}
//
// What a loop over Packets has left behind comes first. If the groups are
// unbound, because such a loop was cancelled, Receive binds them again. The
// error is net.ErrClosed, os.ErrDeadlineExceeded or the socket's.
func (r *Reader) Receive(b *Batch) error {
	r = r.orClosed()
	if !b.of(r) {
		return r.wrap(errForeignBatch)
	}
	r.join()
	defer r.leave()
	defer b.show()
	return r.wrap(r.receive(r.conn, &b.buf))
}

// TryReceive is Receive without waiting, and without binding. If no packet is
// there, or another goroutine is receiving and will get what comes, b.Packets
// is empty.
func (r *Reader) TryReceive(b *Batch) error {
	r = r.orClosed()
	if !b.of(r) {
		return r.wrap(errForeignBatch)
	}
	defer b.show()
	if left, _ := r.takeLeft(&b.buf); left {
		return nil
	}
	return r.wrap(r.tryReceive(b.buf))
}

// of reports whether b is one of r's.
func (b *Batch) of(r *Reader) bool { return b != nil && b.buf != nil && b.buf.r == r }

// show lets the user see what is in b, also if OnError panics.
func (b *Batch) show() { b.Packets = b.buf.rest() }

// receive fills *b: with what a loop has left behind if there is anything,
// then with what is still there of groups that were unbound, and else with
// what comes. The caller is one of r.users.
func (r *Reader) receive(from interface{ Receive(*nfnl.Batch) error }, b **buffer) error {
	left, bound := r.takeLeft(b)
	if left {
		return nil
	}
	if !bound {
		// All packets numbered by the old binding must be seen before the new
		// one starts from 0.
		if err := r.tryReceive(*b); err != nil || len((*b).packets) > 0 {
			return err
		}
		if err := r.bindAgain(); err != nil {
			return err
		}
	}
	for {
		(*b).clear()
		if err := from.Receive((*b).raw); err != nil {
			return err
		}
		r.settle(*b)
		if len((*b).packets) > 0 {
			return nil
		}
	}
}

// tryReceive fills b with what is there.
func (r *Reader) tryReceive(b *buffer) error {
	for {
		b.clear()
		if err := r.conn.TryReceive(b.raw); err != nil {
			return err
		}
		r.settle(b)
		if b.taken == 0 || len(b.packets) > 0 {
			return nil
		}
	}
}
