package engine

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// This file lets a receiver block in recvmmsg while packets are frequent. That saves
// the receive that finds nothing, and a wake-up through Go's poller and scheduler.
//
// A thread that blocks keeps its processor of the scheduler until the runtime's
// monitor takes it, up to 10 ms later. So one processor is left to other goroutines,
// and no receiver blocks while goroutines keep all others busy.

// A pace knows how frequent packets are, and whether processors are idle.
type pace struct {
	short  int               // short waits since one that was not
	parked time.Duration     // when a wait in the poller began, 0 if none did
	looked time.Duration     // when look was called
	full   int               // looks since one after which it may block
	procs  int               // runtime.GOMAXPROCS at the last look
	sample [2]metrics.Sample // for look
}

const (
	// shortWait is the longest wait that counts as short. A receiver that blocks for
	// longer goes back to the poller.
	shortWait = time.Millisecond

	// shortWaits is how many short waits in a row make packets frequent.
	shortWaits = 16

	// longestBlock is how long a receiver blocks at most. The kernel rounds
	// shortWait up to its ticks, of 1 to 10 ms, and waits for one more.
	longestBlock = 20 * time.Millisecond

	// lookEvery is less than the 10 ms after which the runtime's monitor would
	// regard the goroutine as one that does not give way, and take its processor
	// at each system call (runtime.retake).
	lookEvery = 5 * time.Millisecond

	// maxFull bounds pace.full. A receiver blocks up to the half of it: so one look
	// that finds a goroutine, which may run for a moment, does not end that, but if
	// more than one in three do, it ends.
	maxFull = 8
)

// started is where clock begins.
var started = time.Now()

// clock is cheaper than time.Now, which reads two clocks.
func clock() time.Duration { return time.Since(started) }

// frequent reports whether it is better to block than to wait in the poller.
func (p *pace) frequent() bool { return p.short >= shortWaits }

// waited notes a wait that began at the time began.
func (p *pace) waited(began time.Duration) {
	if clock()-began >= shortWait {
		p.short = 0
		return
	}
	p.short = min(p.short+1, shortWaits)
}

// park is called before a wait in the poller, and resume after it.
func (p *pace) park() { p.parked = clock() }

func (p *pace) resume() {
	if p.parked != 0 {
		p.waited(p.parked)
	}
	p.parked = 0
}

// blocking is how many threads of the program block.
var blocking atomic.Int32

// enter reports whether one more thread may block. If so, the caller calls leave
// afterwards.
func (p *pace) enter(now time.Duration) bool {
	due := now-p.looked >= lookEvery
	if due {
		p.look(now)
	}
	if p.full > maxFull/2 {
		return false
	}
	if int(blocking.Add(1)) >= p.procs {
		leave()
		return false
	}
	if due {
		runtime.Gosched()
	}
	return true
}

func leave() { blocking.Add(-1) }

// look looks for an idle processor, and for goroutines that wait for this one because a
// handler made them runnable. Go before 1.26 does not report them.
func (p *pace) look(now time.Duration) {
	p.looked, p.procs = now, runtime.GOMAXPROCS(0)
	p.sample[0].Name = "/sched/goroutines/running:goroutines"
	p.sample[1].Name = "/sched/goroutines/runnable:goroutines"
	metrics.Read(p.sample[:])
	running, runnable := p.sample[0].Value, p.sample[1].Value
	switch {
	case running.Kind() != metrics.KindUint64 || runnable.Kind() != metrics.KindUint64:
		p.full = maxFull
	case runnable.Uint64() > 0 || int(running.Uint64())+int(blocking.Load()) >= p.procs:
		p.full = min(p.full+2, maxFull)
	default:
		p.full = max(p.full-1, 0)
	}
}

// recvBlocking is recv, but waits as long as packets are frequent.
func (m *system) recvBlocking(fd uintptr) {
	d := m.own
	began := clock()
	if !d.pace.enter(began) {
		return
	}
	defer leave()
	if m.recvPolling(fd); m.errno != unix.EAGAIN {
		return
	}
	d.closeGate()
	d.blocked.Store(true)
	defer d.blocked.Store(false)
	for m.waiter.wanted(started.Add(clock() + longestBlock)) {
		n, errno := m.recvmmsg(fd, unix.MSG_WAITFORONE, true)
		if errno == unix.EINTR || errno == unix.ENOBUFS {
			continue
		}
		m.n, m.errno = n, errno
		if d.pace.waited(began); errno == unix.EAGAIN { // also of a socket that no longer blocks
			d.pace.short = 0
		}
		return
	}
}
