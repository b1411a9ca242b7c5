package nfqueue

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nfpacket/nfpacket/internal/kernellist"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file counts the packets that are lost because the queue is full. They have
// no ID, so only the kernel can count them, in its list of queues, which not
// every program can read.

// fullEvery is how often the kernel's count is read, while there is reason to.
const fullEvery = time.Second

// A fullCount follows the kernel's count. Its timer runs a goroutine only to read the
// count, and stops while no packets arrive.
type fullCount struct {
	known   bool // the kernel's count can be read; never changed
	ticking atomic.Bool
	total   atomic.Uint64 // of packets, since Open

	mu       sync.Mutex // guards what follows
	timer    *time.Timer
	kernel   uint32 // the kernel's count when it was last read; it wraps
	reported uint64 // of total
	packets  uint64 // received, at the last tick
	closed   bool
}

// openFull opens the kernel's list, if that is allowed, and counts from now on.
func (q *Queue) openFull() {
	q.list = kernellist.Open(q.conn, kernelQueues)
	s, err := q.KernelStats()
	q.full.known, q.full.kernel = err == nil, s.Full
	if !q.counted { // taken over
		q.inherited.open(&s)
	}
}

// readFull reads the kernel's count. It returns how many packets wait in the
// kernel, and false if it cannot be read. The lock is held.
func (q *Queue) readFull() (waiting uint32, ok bool) {
	s, err := q.KernelStats()
	if err != nil {
		return 0, false
	}
	q.full.total.Add(uint64(s.Full - q.full.kernel))
	q.full.kernel = s.Full
	return s.Waiting, true
}

// fullNow returns the count as it is now.
func (q *Queue) fullNow() uint64 {
	if q.full.known {
		q.full.mu.Lock()
		defer q.full.mu.Unlock()
		q.readFull()
	}
	return q.full.total.Load()
}

// watchFull makes the timer tick, after a receive.
func (q *Queue) watchFull() {
	if !q.full.known || q.full.ticking.Load() {
		return
	}
	q.full.mu.Lock()
	defer q.full.mu.Unlock()
	q.armFull()
}

// armFull sets the timer. The lock is held.
func (q *Queue) armFull() {
	f := &q.full
	switch {
	case f.closed:
		return
	case f.timer == nil:
		f.timer = time.AfterFunc(fullEvery, q.tickFull)
	default:
		f.timer.Reset(fullEvery)
	}
	f.ticking.Store(true)
}

// tickFull reports packets that have found the queue full, also while the handler
// blocks.
func (q *Queue) tickFull() {
	if more := q.moreFull(); more > 0 {
		q.report(&nfnl.OverrunError{Lost: more, Full: true})
	}
}

// moreFull returns how many packets have found the queue full since it was last
// called, and sets the timer again while packets arrive, or wait.
func (q *Queue) moreFull() (more uint64) {
	f := &q.full
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticking.Store(false)
	waiting, ok := q.readFull()
	if !ok {
		return 0
	}
	total, packets := f.total.Load(), q.stats.packets.Load()
	more = total - f.reported
	if more > 0 || waiting > 0 || packets != f.packets {
		q.armFull()
	}
	f.reported, f.packets = total, packets
	return more
}

// closeFull counts for the last time, before the kernel forgets, and ends the timer.
func (q *Queue) closeFull() {
	f := &q.full
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known && !f.closed {
		q.readFull()
	}
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
}
