package nfqueue

import (
	"cmp"
	"fmt"
	"time"
)

// This file says when the verdicts of a Batch are sent: at its end, when there
// are many bytes of them, and when a handler takes its time. The methods that do
// not take the lock are called with it held.

// earlyFlush is when verdicts with payloads are sent before the batch is
// through, in bytes, so that the buffer stays small.
const earlyFlush = 64 << 10

// decided is called after each packet's verdict was appended to out.
func (b *Batch) decided() {
	if len(b.out) >= earlyFlush {
		b.flush()
	}
	if b.timer.late && !b.timer.armed && len(b.out)+b.run.n > 0 {
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
	if err := b.q.send(b.out, &b.load, &b.tooLong); err == nil {
		b.q.ranges.answered(b.run.queued)
	} else if b.sendErr == nil {
		b.sendErr = fmt.Errorf("verdict: %w", err)
	}
	b.run.mine -= b.run.queued
	b.out, b.run.queued = b.out[:0], 0
}

// flushDecided is flush for others than the batch's goroutine.
func (b *Batch) flushDecided() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.flush()
	}
}

// A flushTimer bounds how long decided verdicts wait while a handler takes its
// time. Most handlers do not, and a Go timer that is set for each batch wakes
// other threads of the program each time: in live traffic, where a batch is two or
// three packets, that took a tenth of the CPU time (docs/performance.md). So with
// the default Config.FlushAfter a handler is looked at now and then, and only once
// one was found slow is the timer set for each batch, for a while.
type flushTimer struct {
	exact   *time.Timer // goes off after flushAfter
	armed   bool        // exact is set
	late    bool        // exact has gone off in this batch
	batches int         // so many more have exact set

	watch    *time.Timer // goes off every watchEvery, while packets come
	watching bool        // watch is set
	batch    uint        // counts batches
	seen     uint        // the one that watch saw last
}

const (
	// watchEvery is how often to look for a slow handler: decided verdicts wait
	// for the first one twice as long at most.
	watchEvery = 2 * time.Millisecond

	// slowBatches is how many batches have the timer set after a slow one.
	slowBatches = 1000
)

// flushAfter returns how long verdicts wait for a slow handler.
func (q *Queue) flushAfter() time.Duration {
	return cmp.Or(q.cfg().FlushAfter, defaultFlushAfter)
}

// startTimer bounds how long verdicts wait for the other handlers.
func (b *Batch) startTimer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &b.timer
	t.batch++
	switch {
	case b.q.cfg().FlushAfter > 0:
		b.arm()
	case t.batches > 0:
		t.batches--
		b.arm()
	case !t.watching:
		t.seen, t.watching = t.batch, true
		if t.watch == nil {
			t.watch = time.AfterFunc(watchEvery, b.look)
		} else {
			t.watch.Reset(watchEvery)
		}
	}
}

// arm sets the timer of a batch whose handler may be slow.
func (b *Batch) arm() {
	b.timer.armed = true
	if b.timer.exact == nil {
		b.timer.exact = time.AfterFunc(b.q.flushAfter(), b.ring)
	} else {
		b.timer.exact.Reset(b.q.flushAfter())
	}
}

// disarm undoes arm.
func (b *Batch) disarm() {
	if b.timer.armed {
		b.timer.exact.Stop()
		b.timer.armed = false
	}
}

// ring sends what was decided while a handler takes its time. The verdicts
// that follow in this batch arm the timer again.
func (b *Batch) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.armed = false
	b.flushSlow()
}

// look goes on looking while there are new batches, and is ring if there was time
// for one.
func (b *Batch) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &b.timer
	t.watching = false
	switch {
	case t.batch != t.seen:
		t.seen, t.watching = t.batch, true
		t.watch.Reset(watchEvery)
	case b.open:
		b.flushSlow()
	}
}

// flushSlow is flush for a batch whose handler was found slow.
func (b *Batch) flushSlow() {
	b.timer.late, b.timer.batches = true, slowBatches
	b.flush()
}

// stopTimer stops all timers for good.
func (b *Batch) stopTimer() {
	b.disarm()
	if b.timer.watching {
		b.timer.watch.Stop()
		b.timer.watching = false
	}
}
