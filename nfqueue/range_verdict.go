package nfqueue

import (
	"sync/atomic"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// The kernel's NFQNL_MSG_VERDICT_BATCH gives a verdict to all packets that wait,
// up to an ID:
//
//	waiting in the kernel    1   2   3   5   6   8
//	up to 5                  v   v   v   v
//
// SetVerdictUpTo (range_upto.go) and SetVerdictAll (range_all.go) send it for
// their callers. This file is for Config.RangeVerdicts, which sends one such
// message for consecutive equal verdicts. It decides whether the message may be
// sent, because every older packet that waits gets the verdict too. Without that
// option this file is not used.

// ranges knows whether a range verdict may be sent. Every older packet that waits
// in the kernel gets that verdict too, so each of those must be known to have a
// verdict, or to belong to the range. A nil ranges, that of a queue without
// Config.RangeVerdicts, notes nothing.
type ranges struct {
	// unanswered counts the packets that were received and whose verdict the kernel
	// is not known to have taken: they are in a batch, held, or on their way, or
	// their verdict could not be sent.
	unanswered atomic.Int64

	// blind reports that packets may wait that are not known here: they are from
	// before Open, could not be read, or the kernel refused their verdict. It is
	// never cleared.
	blind atomic.Bool
}

// ackedPort is the port ID in verdicts that the kernel is asked to acknowledge, which
// it ignores and echoes: it may refuse them, and only an acknowledgement shows that
// it has not.
const ackedPort = 2

// received notes a packet. It is called in the order of their arrival, and so
// before anybody has a later one.
func (r *ranges) received() {
	if r != nil {
		r.unanswered.Add(1)
	}
}

// answered notes that the kernel has the verdicts on n packets.
func (r *ranges) answered(n int) {
	if r != nil {
		r.unanswered.Add(int64(-n))
	}
}

// forbid forbids range verdicts for good.
func (r *ranges) forbid() {
	if r != nil {
		r.blind.Store(true)
	}
}

// allow reports whether a batch with n of the packets may send a range verdict. All
// of these up to the last of the range have their verdict by it or before it. Later
// packets of others do no harm, but are not distinguished.
func (r *ranges) allow(n int) bool { return !r.blind.Load() && r.unanswered.Load() == int64(n) }

// port returns the port ID for v: verdicts that fit any packet are not refused.
func (r *ranges) port(v *Verdict) uint32 {
	if r == nil || v.fitsAny() {
		return 0
	}
	return ackedPort
}

// A run is a row of packets of one batch with the same verdict.
type run struct {
	v           plain
	first, last int // places in the batch
	n           int // packets: some between first and last may have had their verdict by ticket

	mine   int // packets of the batch that it has to answer itself, with a verdict that is not refused
	queued int // of those, how many have their verdict in Batch.out
}

// join gives v to the packet in a place as part of the batch's run. The lock is
// held.
func (b *Batch) join(v *plain, place int) {
	if b.run.n > 0 && b.run.v != *v {
		b.endRun()
	}
	if b.run.n == 0 {
		b.run.v, b.run.first = *v, place
	}
	b.run.last = place
	b.run.n++
	b.load.add(&b.tickets[place])
}

// endRun adds the verdicts of the run to out: one for all of them where that is
// allowed. The lock is held.
func (b *Batch) endRun() {
	if b.run.n == 0 {
		return
	}
	v := Verdict{plain: b.run.v}
	if b.run.n > 1 && b.q.ranges.allow(b.run.mine) {
		b.out = v.appendUpTo(b.out, &b.tickets[b.run.last], b.run.n)
	} else {
		for i := b.run.first; i <= b.run.last; i++ {
			if !b.early[i] {
				b.out, _ = v.append(b.out, &b.tickets[i], 0) // fits any, no error
			}
		}
	}
	b.run.queued += b.run.n
	b.run.n = 0
}

// appendUpTo appends the message that gives v to all packets that wait, up to
// and including t's: n, as far as is known. That stands in for a port ID, which
// the kernel ignores but echoes when it finds none of them.
func (v *Verdict) appendUpTo(b []byte, t *Ticket, n int) []byte {
	start := len(b)
	return engine.End(v.begin(b, typeVerdictBatch, t, uint32(n)), start)
}
