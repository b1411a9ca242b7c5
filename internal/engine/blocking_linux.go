package engine

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// This file lets a receiver block in recvmmsg while packets are frequent. That saves
// the receive that finds nothing, and a wake-up through Go's poller and scheduler.
// A thread that blocks keeps its processor of the scheduler until the runtime's
// monitor takes it. So no receiver blocks unless one more processor is there for other
// goroutines.

// A pace knows how frequent packets are.
type pace struct {
	short   int       // short waits in the poller, since one that was not
	parked  time.Time // when a wait in the poller began, zero if none did
	counted time.Time // when mayBlock last looked at other sockets
	crowded bool      // there are too many of them
}

const (
	// shortWait is a wait that may become a blocking one.
	shortWait = time.Millisecond

	// shortWaits is how many of them in a row make packets frequent.
	shortWaits = 16

	// blockFor is when a receiver that blocks goes back to the poller, and the
	// longest it takes to see that it was interrupted. The kernel rounds it up to
	// its ticks, of 1 to 10 ms, and waits for one more: 6 to 20 ms in all.
	blockFor = 5 * time.Millisecond

	// countEvery is less than the 10 ms after which the runtime's monitor would
	// regard the goroutine as one that does not give way, and take its processor
	// at each system call (runtime.retake).
	countEvery = 5 * time.Millisecond
)

// mayBlock reports whether packets are so frequent that it is better to block.
func (p *pace) mayBlock() bool {
	if p.short < shortWaits {
		return false
	}
	if now := time.Now(); now.Sub(p.counted) >= countEvery {
		runtime.Gosched()
		p.crowded = busy.count(p.counted, now) >= runtime.GOMAXPROCS(0)
		p.counted = now
	}
	return !p.crowded
}

// park is called before a wait in the poller, and resume after it.
func (p *pace) park() { p.parked = time.Now() }

func (p *pace) resume() {
	switch {
	case p.parked.IsZero():
	case time.Since(p.parked) < shortWait:
		p.short = min(p.short+1, shortWaits)
	default:
		p.short = 0
	}
	p.parked = time.Time{}
}

// busy counts the sockets of the program on which packets are frequent.
var busy census

// A census counts who calls count in periods of censusPeriod.
type census struct {
	mu        sync.Mutex
	began     time.Time // the period
	now, last int       // calls in this period and in the one before
}

const censusPeriod = 2 * countEvery

// count counts a socket, unless it was counted in this period, at the time before.
func (c *census) count(before, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.began); age >= censusPeriod {
		c.last, c.now, c.began = c.now, 0, now
		if age >= 2*censusPeriod {
			c.last = 0
		}
	}
	if before.Before(c.began) {
		c.now++
	}
	return max(c.now, c.last)
}

// recvBlocking is recv, but waits for up to blockFor. If nothing arrives, the next wait
// is in the poller.
func (m *system) recvBlocking(fd uintptr) {
	m.own.closeGate()
	for m.waiter.wanted(time.Now()) {
		n, errno := m.recvmmsg(fd, unix.MSG_WAITFORONE, true)
		switch errno {
		case unix.EINTR, unix.ENOBUFS: // and blockFor begins again
		case unix.EAGAIN:
			m.own.pace.short = 0
			return
		default:
			m.n, m.errno = n, errno
			return
		}
	}
	m.own.pace.short = 0
}
