package nfqueue

import (
	"fmt"
	"time"
)

// This file says when the verdicts of a Batch are sent: at its end, when there
// are many bytes of them, and when a handler takes its time. All methods but
// startTimer and ring are called with the lock held.

// earlyFlush is when verdicts with payloads are sent before the batch is
// through, in bytes, so that the buffer stays small.
const earlyFlush = 64 << 10

// decided is called after each packet's verdict was appended to out.
func (b *Batch) decided() {
	if len(b.out) >= earlyFlush {
		b.flush()
	}
	if b.late && !b.armed && len(b.out)+b.run.n > 0 {
		b.arm()
	}
}

// flush sends the verdicts there are. The lock is held meanwhile: verdicts that
// overtake each other would change the order of packets.
func (b *Batch) flush() {
	b.endRun()
	if len(b.out) == 0 {
		return
	}
	if err := b.send(); err != nil {
		b.q.strays.Store(true)
		if b.sendErr == nil {
			b.sendErr = fmt.Errorf("verdict: %w", err)
		}
	}
	b.out = b.out[:0]
}

// send sends out.
func (b *Batch) send() error {
	if len(b.tickets) == 1 {
		return b.q.sendOne(&b.tickets[0], b.out)
	}
	return b.q.conn.Send(b.out)
}

// sendOne sends the verdict on one packet.
func (q *Queue) sendOne(t *Ticket, msg []byte) error {
	if t.short(msg) {
		return q.conn.SendShort(msg)
	}
	return q.conn.Send(msg)
}

// short reports whether the kernel is done with a verdict in microseconds. It
// takes little longer than the packet's way, unless there is much to copy, or a
// GSO packet to be cut on that way.
func (t *Ticket) short(msg []byte) bool {
	return len(msg) <= shortSend && t.length <= shortSend && t.flags&ticketGSO == 0
}

// shortSend is how long a verdict and its packet are at most for a short call, in
// bytes: most devices have longer ones only as GSO.
const shortSend = 4 << 10

// startTimer bounds how long verdicts wait for the other handlers.
func (b *Batch) startTimer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arm()
}

// arm starts the timer.
func (b *Batch) arm() {
	b.armed = true
	if b.timer == nil {
		b.timer = time.AfterFunc(b.q.cfg().FlushAfter, b.ring)
	} else {
		b.timer.Reset(b.q.cfg().FlushAfter)
	}
}

// stopTimer undoes arm.
func (b *Batch) stopTimer() {
	if b.armed {
		b.timer.Stop()
		b.armed = false
	}
}

// ring sends what was decided while a handler takes its time. The verdicts
// that follow in this batch arm the timer again.
func (b *Batch) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed, b.late = false, true
	b.flush()
}
