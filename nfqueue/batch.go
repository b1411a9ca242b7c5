package nfqueue

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// A Batch holds the packets of one Receive. Verdicts[i] is the verdict on Packets[i],
// and Receive sets it to Drop. Its contents are valid until the next Receive with the
// same Batch. A Batch can be reused, but not by concurrent calls of Receive.
//
// Verdicts[i] applies to the packet that Receive stored in Packets[i], even if Packets
// is resliced or reordered. A packet without an element in Verdicts is dropped.
type Batch struct {
	Packets  []Packet
	Verdicts []Verdict

	q    *Queue
	raw  *engine.Batch
	news news

	problems problems // what is yet to be reported to OnError

	used    atomic.Bool // by Receive, TryReceive or Send
	counted bool        // among the queue's receivers: a Receive loop has it
	busy    bool        // among its busy batches

	mu      sync.Mutex // guards what follows, against the timer and tickets
	packets []Packet   // all of them: users may reslice Packets
	tickets []Ticket   // of the packets as they were received: handlers may edit those
	bytes   uint64     // in the packets
	load    load       // of the verdicts in out and run
	open    bool       // some packets may have no verdict yet
	next    int        // the first of those whose handler has not returned
	early   []bool     // packets whose ticket was answered before that
	answers answers    // of such tickets, to be sent in their packets' places
	out     []byte     // verdicts to be sent
	run     run        // with Config.RangeVerdicts: verdicts that are yet to be added to out
	sendErr error      // of a flush
	tooLong problems   // verdicts that did not fit the send buffer, of a flush
	timer   flushTimer
}

// NewBatch returns a Batch for up to Config.Batch packets of up to Config.CopyRange
// bytes. Physical memory is used only as far as packets fill it. Keep the Batch, or a
// Packet of it, as long as slices of its packets are used.
func (q *Queue) NewBatch() *Batch {
	q = q.orClosed()
	n := q.cfg().Batch
	b := &Batch{
		q:        q,
		Packets:  make([]Packet, 0, n),
		Verdicts: make([]Verdict, 0, n),
		tickets:  make([]Ticket, 0, n),
		early:    make([]bool, 0, n),
	}
	b.raw = engine.NewBatch(n, int(q.cfg().CopyRange)+metadataRoom, b.take)
	b.raw.TakeRuns(b.takeRun)
	return b
}

// count adds b to the queue's receivers, or takes it away, unless that has been
// done.
func (b *Batch) count(n int32) {
	if counts := n > 0; counts != b.counted {
		b.counted = counts
		b.q.receivers.Add(n)
		b.q.calls.Add(1)
	}
}

// begun notes that messages were taken into b. It is called in the order of their
// arrival, while the receive token is held.
func (b *Batch) begun() {
	if !b.busy {
		b.busy = true
		b.q.busy.Add(1)
		b.q.unlisted.Add(1)
	}
}

// done notes that all of them have been handled.
func (b *Batch) done() {
	if b.busy {
		b.busy = false
		b.q.busy.Add(-1)
	}
}

// received makes b ready for the user's verdicts; err is the receive's.
func (b *Batch) received(err error) error {
	n := len(b.Packets)
	b.Verdicts = slices.Grow(b.Verdicts[:0], n)[:n]
	clear(b.Verdicts)
	if n == 0 {
		b.done()
		b.count(-1)
	}
	return b.q.wrap(err)
}

// clear makes room for the next receive.
func (b *Batch) clear() {
	b.done()
	b.Packets, b.Verdicts = b.Packets[:0], b.Verdicts[:0]
	b.news.clear()
}

// begin makes the batch ready for verdicts.
func (b *Batch) begin() {
	if b.busy {
		defer b.q.unlisted.Add(-1)
	}
	n := len(b.Packets)
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.packets = b.Packets
	b.tickets = slices.Grow(b.tickets[:0], n)[:n]
	for i := range b.Packets {
		p := &b.Packets[i]
		p.check()
		p.ticket.set(p)
	}
	b.bytes, b.load = 0, load{}
	for i := range b.Packets {
		t := &b.tickets[i]
		*t = b.Packets[i].ticket
		b.bytes += uint64(t.length)
	}
	b.early = slices.Grow(b.early[:0], n)[:n]
	clear(b.early)
	b.answers.clear()
	b.open, b.next, b.timer.late = true, 0, false
	b.run = run{mine: n}
	b.q.waiting.add(b)
	b.mu.Unlock()
}

// decide takes the verdict on the next packet. It encodes at once, so that the
// handler may use the memory of a payload again. A verdict that is refused is
// reported at the end, with others of the kind.
func (b *Batch) decide(v *Verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.next
	t := &b.tickets[i]
	b.next++
	if b.early[i] { // its ticket was faster
		b.placeAnswer(i)
		b.decided()
		return
	}
	var refused error
	switch {
	case v.action == ActionHold:
		refused = b.hold(t, v)
	case b.q.ranges != nil && v.fitsAny():
		b.join(&v.plain, i)
	default:
		refused = b.encode(t, v)
	}
	if refused != nil {
		b.problems.addRefused(t.id, refused)
	}
	b.decided()
}

// encode adds v to out, or the fallback if it is refused.
func (b *Batch) encode(t *Ticket, v *Verdict) (refused error) {
	b.endRun()
	b.load.add(t)
	if v.has(changeConntrack) {
		b.noteConnection(t)
		if why := b.q.omit(t, v); why != nil {
			b.problems.addOmitted(t.id, why)
		}
	}
	b.out, refused = b.q.appendVerdict(b.out, t, v)
	if refused == nil && b.q.ranges.port(v) != 0 {
		b.run.mine--
	} else {
		b.run.queued++
	}
	return refused
}

// noteConnection notes in a packet's ticket what Ticket.noteConnection does.
func (b *Batch) noteConnection(t *Ticket) {
	for i := range b.packets {
		if b.packets[i].ID == t.id { // wherever the user has put it
			t.noteConnection(&b.packets[i])
		}
	}
}

// claim takes a packet from its handler. It returns false if that has returned.
func (b *Batch) claim(id uint32) (heldPacket, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return heldPacket{}, false // tickets may be changing
	}
	i := b.index(id)
	if i < b.next || b.early[i] {
		return heldPacket{}, false
	}
	b.early[i] = true
	b.run.mine--
	return b.tickets[i].held(), true
}

// countUndecided returns how many packets have no verdict, from their handler or by
// their ticket, or one that waits for Send.
func (b *Batch) countUndecided() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.undecided() {
		n++
	}
	return n + len(b.answers.list)
}

// index returns which packet has the ID, or -1.
func (b *Batch) index(id uint32) int {
	for i := range b.tickets {
		if b.tickets[i].id == id {
			return i
		}
	}
	return -1
}

// end reports what went wrong with single packets, sends what is left, and returns
// the first error of all that was sent.
func (b *Batch) end() error {
	b.q.tell(&b.problems)
	err := b.sendRest()
	b.q.tell(&b.problems) // verdicts that were too long to be sent
	return err
}

// sendRest sends what is left and returns the first error of all that was sent. Packets
// without a verdict, which there are when Shutdown ends Run, stay listed for Shutdown,
// which gives them the fallback and counts them.
func (b *Batch) sendRest() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disarm()
	b.flush()
	if b.open && b.next == len(b.tickets) {
		b.close()
	}
	b.problems = append(b.problems, b.tooLong...)
	b.tooLong = b.tooLong[:0]
	b.done()
	err := b.sendErr
	b.sendErr = nil
	return err
}

// close takes b off the list: none of its packets waits for a verdict. The lock is
// held.
func (b *Batch) close() {
	b.open = false
	b.q.waiting.remove(b)
}

// abandon gives Fallback to the packets without a verdict, if there are any:
// their handler has panicked, or ended its goroutine, or Run has to end.
func (b *Batch) abandon() {
	b.mu.Lock()
	b.endRun()
	for ; b.open && b.next < len(b.tickets) && !b.q.closed.Load(); b.next++ {
		if !b.early[b.next] {
			b.load.add(&b.tickets[b.next])
			b.out = b.q.appendFallback(b.out, b.tickets[b.next].id)
			b.run.queued++
		}
	}
	b.stopTimer()
	b.mu.Unlock()
	b.end() // its error is not needed: Run returns another, or a panic propagates
	b.count(-1)
	b.raw.Release() // nothing that a handler was given is valid any more
}
