package nfqueue

import (
	"cmp"
	"fmt"
	"time"
)

// This file decides when the verdicts of a Batch are sent: at its end, when they
// have many bytes, and when a handler is slow. The methods that do not take the
// lock are called with it held.

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
// overtake each other would change the order of packets. An error is noted for end.
func (b *Batch) flush() error {
	b.endRun()
	if len(b.out) == 0 {
		return nil
	}
	err := b.q.send(b.out, &b.load, &b.tooLong)
	if err == nil {
		b.q.ranges.answered(b.run.queued)
	} else {
		err = fmt.Errorf("verdict: %w", err)
		b.sendErr = cmp.Or(b.sendErr, err)
	}
	b.run.mine -= b.run.queued
	b.out, b.run.queued, b.load = b.out[:0], 0, load{}
	return err
}

// flushDecided is flush for others than the batch's goroutine.
func (b *Batch) flushDecided() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.flush()
	}
}

// A flushTimer bounds how long verdicts wait to be sent while a handler is slow.
// Most handlers are not, and a Go timer that is set for each batch wakes other
// threads of the program each time: in live traffic, where a batch is two or
// three packets, that took a tenth of the CPU time (docs/performance.md). So with
// the default Config.FlushAfter a coarse timer (watch) finds slow handlers, and
// after that the exact timer is set for each of the next slowBatches batches.
type flushTimer struct {
	exact   *time.Timer // fires after flushAfter
	armed   bool        // exact is set
	late    bool        // exact has fired in this batch
	batches int         // how many more batches set exact

	watch    *time.Timer   // fires while packets arrive
	watching bool          // watch is set
	every    time.Duration // how often it fires; 0 means watchFirst
	batch    uint          // counts batches
	seen     uint          // the one that watch saw last
}

const (
	// watchFirst is how often to look for a slow handler at first, and watchMost how
	// often once none was found for some time: each look wakes two threads. When the
	// first handler becomes slow, verdicts wait at most twice as long.
	watchFirst = 2 * time.Millisecond
	watchMost  = 16 * time.Millisecond

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
		b.watch()
	}
}

// watch sets the timer of look.
func (b *Batch) watch() {
	t := &b.timer
	t.seen, t.watching = t.batch, true
	t.every = cmp.Or(t.every, watchFirst)
	if t.watch == nil {
		t.watch = time.AfterFunc(t.every, b.look)
	} else {
		t.watch.Reset(t.every)
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

// ring sends the verdicts that wait while a handler is slow. Later verdicts of this
// batch arm the timer again.
func (b *Batch) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.timer.armed {
		return // the batch ended meanwhile
	}
	b.timer.armed = false
	b.flushSlow()
}

// look sets its timer again while there are new batches. If there was none since the
// last look, and one of several packets is still in progress, it does what ring does.
func (b *Batch) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &b.timer
	if !t.watching {
		return // stopTimer was called meanwhile
	}
	t.watching = false
	switch {
	case t.batch != t.seen:
		t.every = min(2*t.every, watchMost)
		b.watch()
	case b.open && len(b.tickets) > 1: // those of one packet are not counted
		b.flushSlow()
	}
}

// flushSlow is flush for a batch whose handler was found slow.
func (b *Batch) flushSlow() {
	b.timer.late, b.timer.batches, b.timer.every = true, slowBatches, watchFirst
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
