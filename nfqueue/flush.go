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
	if err := b.q.send(b.out, &b.load); err == nil {
		b.q.ranges.answered(b.run.queued)
	} else if b.sendErr == nil {
		b.sendErr = fmt.Errorf("verdict: %w", err)
	}
	b.run.mine -= b.run.queued
	b.out, b.run.queued = b.out[:0], 0
}

// send sends verdicts on packets that are l.
func (q *Queue) send(msgs []byte, l *load) error {
	if l.short(msgs) {
		return q.conn.SendShort(msgs)
	}
	return q.conn.Send(msgs)
}

// A load is of packets whose verdicts are sent with one call. What is left of
// their way is part of that call.
type load struct {
	packets int
	bytes   uint64
	gso     bool // one of them is yet to be cut
}

// add adds t's packet.
func (l *load) add(t *Ticket) {
	l.packets++
	l.bytes += uint64(t.length)
	l.gso = l.gso || t.flags&ticketGSO != 0
}

// Up to these the kernel is done in about the time that it takes to receive a
// batch, which is not announced to Go's scheduler either.
const (
	shortPackets = defaultBatch
	shortBytes   = 128 << 10 // of the packets and their verdicts
)

// short reports whether the kernel is not long about it, and so whether the
// garbage collector can wait.
func (l *load) short(msgs []byte) bool {
	return !l.gso && l.packets <= shortPackets && l.bytes+uint64(len(msgs)) <= shortBytes
}

// flushDecided is flush for others than the batch's goroutine.
func (b *Batch) flushDecided() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.flush()
	}
}

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
