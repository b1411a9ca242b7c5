package nflog

import (
	"errors"
	"net"
	"os"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// news is what a receive found besides packets.
type news struct {
	bytes     uint64 // of the packets
	lost      []loss
	malformed []error // what was wrong with messages
}

// loss is of the packets of a group that a receive found missing.
type loss struct {
	group   uint16
	packets uint64
}

// clear forgets it.
func (n *news) clear() {
	clear(n.malformed)
	*n = news{lost: n.lost[:0], malformed: n.malformed[:0]}
}

// lose adds to the number of lost packets of a group.
func (n *news) lose(group uint16, packets uint32) {
	for i := range n.lost {
		if n.lost[i].group == group {
			n.lost[i].packets += uint64(packets)
			return
		}
	}
	n.lost = append(n.lost, loss{group, uint64(packets)})
}

// Receive waits for packets and fills b with them. Packets is built on it. A program
// with its own loop calls it:
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
// Packets that a loop over Packets has received and not yielded are returned first. The
// error matches net.ErrClosed or os.ErrDeadlineExceeded, or is an error of the socket.
func (r *Reader) Receive(b *Batch) error {
	r = r.orClosed()
	return r.using(b, func() error { return r.receive(r.conn, &b.buf) })
}

// TryReceive is like Receive but does not wait for packets. b.Packets is empty if no
// packet is available, or if another goroutine is receiving and will get it.
//
// In an event loop, call it when poll reports that the descriptor of SyscallConn is
// readable, until b.Packets is empty. The descriptor is also readable while the Reader
// has packets that a loop over Packets left.
func (r *Reader) TryReceive(b *Batch) error {
	r = r.orClosed()
	return r.using(b, func() error {
		switch {
		case r.takeLeft(&b.buf):
			return nil
		case r.stopping.Load():
			return r.receiveLast(&b.buf)
		}
		if err := r.tryReceive(b.buf); err != nil || len(b.buf.packets) > 0 {
			return err
		}
		r.takeLeft(&b.buf) // a loop may just have left packets, which poll no longer reports
		return nil
	})
}

// using calls f, which fills b, unless b is in use or belongs to another Reader.
func (r *Reader) using(b *Batch, f func() error) error {
	switch {
	case !b.of(r):
		return r.wrap(errForeignBatch)
	case !b.used.CompareAndSwap(false, true):
		return r.wrap(errBatchInUse)
	}
	defer b.used.Store(false)
	r.enter()
	defer r.leave()
	defer b.show()
	return r.wrap(f())
}

// of reports whether b is one of r's.
func (b *Batch) of(r *Reader) bool { return b != nil && b.r != nil && b.r == r }

// show sets Packets to the packets in b, also if OnError panics.
func (b *Batch) show() { b.Packets = b.buf.rest() }

// enter adds a call of Receive or TryReceive to r.users.
func (r *Reader) enter() {
	r.users.Add(1)
	if !r.batches.Load() {
		r.batches.Store(true)
	}
}

// leave removes one of r.users.
func (r *Reader) leave() {
	if r.users.Add(-1) == 0 && r.stopping.Load() {
		r.wakeShutdown()
	}
}

// receive fills *b: with packets that a loop has not yielded if there are any, and
// otherwise with the next that arrive. The caller is one of r.users.
func (r *Reader) receive(from interface{ Receive(*engine.Batch) error }, b **buffer) error {
	for !r.stopping.Load() {
		if r.takeLeft(b) {
			return nil
		}
		(*b).clear()
		if err := from.Receive((*b).raw); err != nil {
			if r.stopping.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			return err
		}
		r.settle(&(*b).news)
		if len((*b).packets) > 0 {
			return nil
		}
	}
	return r.receiveLast(b)
}

// receiveLast fills *b with the packets that are left after the groups were unbound.
// It returns net.ErrClosed if there are none.
func (r *Reader) receiveLast(b **buffer) error {
	for {
		left, err := r.fetch(b)
		if left || err != nil {
			return err
		}
		r.settle(&(*b).news)
		switch {
		case len((*b).packets) > 0:
			return nil
		case (*b).taken == 0:
			return net.ErrClosed
		}
	}
}

// fetch is one step of receiveLast. It reports whether *b then has packets that a
// loop has not yielded.
func (r *Reader) fetch(b **buffer) (left bool, err error) {
	r.fetching.Lock() // Shutdown may have packets that it is yet to keep for others
	defer r.fetching.Unlock()
	if r.takeLeft(b) {
		return true, nil
	}
	(*b).clear()
	return false, r.conn.TryReceive((*b).raw)
}

// tryReceive fills b with what is there.
func (r *Reader) tryReceive(b *buffer) error {
	for {
		b.clear()
		if err := r.conn.TryReceive(b.raw); err != nil {
			return err
		}
		r.settle(&b.news)
		if b.taken == 0 || len(b.packets) > 0 {
			return nil
		}
	}
}
