package engine

import (
	"runtime"
	"runtime/metrics"
	"sync"
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
	full   int               // a look that finds no idle processor adds 2, another takes 1 away
	procs  int               // runtime.GOMAXPROCS at the last look
	sample [2]metrics.Sample // for look
}

const (
	// A wait is short if it takes less than shortWait. A receiver that blocks for longer
	// goes back to the poller.
	shortWait = time.Millisecond

	// shortWaits is how many short waits in a row make packets frequent.
	shortWaits = 16

	// longestBlock is how long one recvmmsg blocks at most. The kernel rounds
	// shortWait up to its ticks, of 1 to 10 ms, and waits for one more.
	longestBlock = 20 * time.Millisecond

	// lookEvery is how often a receiver looks and gives way. It is less than the 10 ms
	// after which the runtime's monitor would regard the goroutine as one that does
	// not give way, and take its processor at each system call (runtime.retake).
	lookEvery = 5 * time.Millisecond

	// maxFull bounds pace.full. A receiver may block while full is at most half of it.
	// One look that finds a goroutine, which may run for a moment, does not end that.
	// If more than one look in three find one, it ends.
	maxFull = 8
)

// started is where clock begins.
var started = time.Now()

// clock is cheaper than time.Now, which reads two clocks.
func clock() time.Duration { return time.Since(started) }

// frequent reports whether it is better to block than to wait in the poller.
func (p *pace) frequent() bool { return p.short >= shortWaits && countsGoroutines() }

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
	if due {
		runtime.Gosched() // see lookEvery
	}
	if int(blocking.Add(1)) >= p.procs {
		leave()
		return false
	}
	return true
}

func leave() { blocking.Add(-1) }

// look looks for an idle processor, and for goroutines that wait for one, for instance
// because a handler made them runnable.
func (p *pace) look(now time.Duration) {
	p.looked, p.procs = now, runtime.GOMAXPROCS(0)
	running, runnable := readGoroutines(&p.sample)
	if runnable > 0 || running+int(blocking.Load()) >= p.procs {
		p.full = min(p.full+2, maxFull)
	} else {
		p.full = max(p.full-1, 0)
	}
}

// readGoroutines returns how many goroutines run and how many could; sample is for its
// use.
func readGoroutines(sample *[2]metrics.Sample) (running, runnable int) {
	sample[0].Name = "/sched/goroutines/running:goroutines"
	sample[1].Name = "/sched/goroutines/runnable:goroutines"
	metrics.Read(sample[:])
	if sample[0].Value.Kind() == metrics.KindUint64 {
		running = int(sample[0].Value.Uint64())
	}
	if sample[1].Value.Kind() == metrics.KindUint64 {
		runnable = int(sample[1].Value.Uint64())
	}
	return running, runnable
}

// countsGoroutines reports whether the runtime counts goroutines by state. Go before
// 1.26 does not.
var countsGoroutines = sync.OnceValue(func() bool {
	running, _ := readGoroutines(new([2]metrics.Sample))
	return running > 0 // this one
})

// recvBlocking is recv, but waits for up to shortWait, as the kernel rounds it. If
// nothing arrives, the next wait is in the poller.
func (m *system) recvBlocking(fd uintptr) {
	m.recvPolling(fd)
	m.busy = 0 // it has polled, and need not in the poller
	d := m.own
	if m.errno != unix.EAGAIN || !d.pace.enter(clock()) {
		return
	}
	defer leave()
	d.blocked.Store(true)
	defer d.blocked.Store(false)
	for began := clock(); m.waiter.wanted(time.Now().Add(longestBlock)); {
		d.closeGate()
		n, errno := m.recvmmsg(fd, unix.MSG_WAITFORONE, true)
		if errno == unix.EINTR || errno == unix.ENOBUFS {
			continue
		}
		m.n, m.errno = n, errno
		d.pace.waited(began)
		if errno == unix.EAGAIN { // also of a socket that no longer blocks
			d.pace.short = 0
		}
		if errno == 0 && m.waiter.c.isClosed() {
			requestAnswer(fd) // for a thread that waits in poll: this one may have taken close's
		}
		return
	}
}

// wakeBlocked makes a receiver that blocks return if it would not until t.
func (s *socket) wakeBlocked(t time.Time) {
	if s.kernel && s.own != nil && s.own.blocked.Load() && time.Until(t) < longestBlock {
		s.requestAnswer()
	}
}

// requestAnswer makes the socket readable. If that is refused, a receiver that blocks
// returns after longestBlock. Config.Tap is not called: this may be any goroutine.
func (s *socket) requestAnswer() { _ = s.raw.Control(requestAnswer) }

func requestAnswer(fd uintptr) {
	call := newSendCall()
	call.msgs = wakeMessage(0).Append(nil)
	call.send(fd)
}
