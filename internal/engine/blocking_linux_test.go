package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// A blockingPipe is a pipe whose receivers take packets for frequent.
type blockingPipe struct{ *pipe }

func (p blockingPipe) receive(b *Batch, wait bool) error {
	if wait {
		p.own.pace.short = shortWaits
	}
	return p.pipe.receive(b, wait)
}

func overBlocking(t *testing.T, behaviour func(k *kernel)) {
	manyProcessors(t)
	k := &kernel{T: t}
	inner, peer, err := newPipe(k.handle)
	testkit.Must(t, err)
	p := inner.(*pipe)
	d, err := copyDescriptor(p.file.(*os.File))
	testkit.Must(t, err)
	testkit.Must(t, p.Close())
	p.socket, err = newSocket(d, false)
	testkit.Must(t, err)
	testkit.Must(t, d.makeGate())
	testkit.Must(t, p.setBlocking())
	k.start(blockingPipe{p}, peer)
	behaviour(k)
}

// manyProcessors gives the test more processors than sockets receive in it.
func manyProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(8)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// frequently makes the kernel send something to c often, until the test ends or stop is
// called.
func frequently(t *testing.T, c *Conn) (stop func()) {
	done, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = c.askForWake() // until c is closed
				pause()
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(done)
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

// blocked returns how many threads of the program are in a recvmmsg that blocks.
func blocked(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/syscall")
	testkit.Must(t, err)
	call := fmt.Sprintf("%d ", unix.SYS_RECVMMSG)
	read := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended, or it is not allowed
		}
		read++
		args := strings.Fields(string(text))
		if strings.HasPrefix(string(text), call) && args[4] == fmt.Sprintf("%#x", unix.MSG_WAITFORONE) {
			n++
		}
	}
	if read == 0 {
		t.Skip("/proc/self/task/*/syscall cannot be read")
	}
	return n
}

// awaitBlocked waits until a thread blocks.
func awaitBlocked(t *testing.T) {
	t.Helper()
	needsCounts(t)
	for end := time.Now().Add(10 * time.Second); blocked(t) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			if d := wakeUp(t); d > shortWait/2 {
				t.Skipf("packets cannot be frequent: on this machine one that is sent every 50 µs takes %v, as on an emulated one", d)
			}
			t.Fatal("no thread blocks")
		}
	}
}

// needsCounts skips where no receiver blocks.
func needsCounts(t *testing.T) {
	t.Helper()
	if !countsGoroutines() {
		t.Skip("this Go does not count goroutines by state, as 1.26 does, so no receiver blocks")
	}
}

// wakeUp returns how long it takes to pause, as frequently does, and to wake a
// goroutine that waits in the poller; one in ten takes longer.
func wakeUp(t *testing.T) time.Duration {
	r, w, err := os.Pipe()
	testkit.Must(t, err)
	defer r.Close()
	defer w.Close()
	woken := make(chan time.Time)
	go func() {
		defer close(woken)
		for b := make([]byte, 1); ; {
			if _, err := r.Read(b); err != nil {
				return
			}
			woken <- time.Now()
		}
	}()
	var took []time.Duration
	for range 101 {
		began := time.Now()
		pause()
		_, err := w.Write([]byte{1})
		testkit.Must(t, err)
		took = append(took, testkit.Next(t, woken).Sub(began))
	}
	slices.Sort(took)
	return took[len(took)*9/10]
}

// pause takes 50 µs, where a timer of Go would take a millisecond.
func pause() {
	d := unix.NsecToTimespec(50000)
	unix.Nanosleep(&d, nil)
}

// receiving receives on c until it is closed.
func receiving(c *Conn) <-chan error {
	return testkit.Background(func() error {
		b := NewBatch(8, 256, func(Message, error) {})
		for {
			if err := c.Receive(b); err != nil {
				return err
			}
		}
	})
}

// blockedReceiver returns a Conn on which a receiver blocks, how that ends, and what
// ends the packets.
func blockedReceiver(t *testing.T) (c *Conn, ended <-chan error, stop func()) {
	t.Helper()
	manyProcessors(t)
	c = dialTest(t, Config{})
	ended = receiving(c)
	stop = frequently(t, c)
	awaitBlocked(t)
	return c, ended, stop
}

func TestReceiverBlocksWhilePacketsAreFrequent(t *testing.T) {
	_, _, stop := blockedReceiver(t)
	stop()
	testkit.Await(t, "it waits in the poller again", func() bool { return blocked(t) == 0 })
}

func TestReceiversLeaveOneProcessor(t *testing.T) {
	needsCounts(t)
	before := runtime.GOMAXPROCS(3)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	var a, b, c pace
	now := clock() + lookEvery
	want := func(when string, p *pace, may bool) {
		t.Helper()
		if got := p.enter(now); got != may {
			t.Errorf("%s: may block is %v", when, got)
		}
	}
	want("the first of three", &a, true)
	want("the second", &b, true)
	want("the third", &c, false)
	leave()
	want("the third after another has left", &c, true)
	leave()
	leave()
	runtime.GOMAXPROCS(1)
	now += lookEvery
	want("alone on one processor", &a, false)
}

func TestReceiverDoesNotBlockBesideBusyGoroutines(t *testing.T) {
	needsCounts(t)
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	var p pace
	now := clock()
	entersAfterLooks := func() (may bool) {
		for range maxFull {
			now += lookEvery
			if may = p.enter(now); may {
				leave()
			}
		}
		return may
	}
	testkit.Await(t, "alone it may block", entersAfterLooks)
	var started, stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for started.Store(true); !stop.Load(); {
		}
	}()
	testkit.Await(t, "the other goroutine runs", started.Load)
	if entersAfterLooks() {
		t.Error("it may block beside a goroutine that computes")
	}
	stop.Store(true)
	testkit.Await(t, "it may block again", entersAfterLooks)
}

// Blocked receivers keep processors, so they have to be worth it.
func TestReceiverDoesNotBlockForRarePackets(t *testing.T) {
	c, _, stop := blockedReceiver(t)
	stop()
	for seen := 0; seen < 20; seen++ {
		testkit.Must(t, c.askForWake())
		time.Sleep(4 * shortWait)
		if blocked(t) > 0 && seen > 3 {
			t.Fatalf("a thread blocks, although packet %d came after %v", seen, 4*shortWait)
		}
	}
}

// TestBlockedReceiveEndsAtOnce takes the time limit from the socket, so that a receive
// which is not woken never ends.
func TestBlockedReceiveEndsAtOnce(t *testing.T) {
	for name, end := range map[string]func(c *Conn, cancel func()) error{
		"when the context is done": func(_ *Conn, cancel func()) error { cancel(); return nil },
		"at a deadline that has passed": func(c *Conn, _ func()) error {
			return c.SetReadDeadline(time.Now())
		},
		"at a deadline that is near": func(c *Conn, _ func()) error {
			return c.SetReadDeadline(time.Now().Add(longestBlock / 2))
		},
		"for larger buffers": func(c *Conn, cancel func()) error {
			defer cancel()
			return c.GrowBuffers(1024)
		},
		"for a Seal": func(c *Conn, cancel func()) error {
			defer cancel()
			return c.Seal()
		},
		"when it is closed": func(c *Conn, _ func()) error { return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			manyProcessors(t)
			c := dialTest(t, Config{})
			testkit.Must(t, c.t.(*socket).control(func(fd int) error {
				return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{})
			}))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := testkit.Background(func() error {
				r := c.Receiver(ctx)
				defer r.Close()
				b := NewBatch(8, 256, func(Message, error) {})
				for {
					if err := r.Receive(b); err != nil {
						return err
					}
				}
			})
			testkit.Await(t, "a thread blocks after the last packet", func() bool {
				stop := frequently(t, c)
				awaitBlocked(t)
				stop()
				time.Sleep(4 * shortWait)
				return blocked(t) == 1 // else the last one was late
			})
			testkit.Must(t, testkit.Next(t, testkit.Background(func() error { return end(c, cancel) })))
			if err := testkit.Next(t, ended); err == nil {
				t.Error("Receive succeeded")
			}
		})
	}
}

func TestReceiveReportsThatItCannotWait(t *testing.T) {
	c := dialTest(t, Config{})
	c.t.(*socket).own.gateFD = -1
	err := testkit.Next(t, testkit.Background(func() error { return c.Receive(NewBatch(1, 256, func(Message, error) {})) }))
	if !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), "epoll_ctl") {
		t.Error(err)
	}
}

// Others than the receiver may wait for packets, through Conn.SyscallConn.
func TestRawConnReadIsWokenBesideABlockedReceiver(t *testing.T) {
	c, _, _ := blockedReceiver(t)
	raw, err := c.SyscallConn()
	testkit.Must(t, err)
	calls := 0
	read := testkit.Background(func() error {
		return raw.Read(func(uintptr) bool { calls++; return calls == 3 })
	})
	testkit.Must(t, testkit.Next(t, read))
}

func TestRawConnIsClosedWithItsConn(t *testing.T) {
	c := dialTest(t, Config{})
	raw, err := c.SyscallConn()
	testkit.Must(t, err)
	never := func(uintptr) bool { return false }
	read := testkit.Background(func() error { return raw.Read(never) })
	testkit.Await(t, "the gate is open", c.t.(*socket).own.open.Load)
	testkit.Must(t, c.Close())
	for what, err := range map[string]error{
		"Read in progress":    testkit.Next(t, read),
		"Read after Close":    raw.Read(never),
		"Write after Close":   raw.Write(never),
		"Control after Close": raw.Control(func(uintptr) {}),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Close has two answers: a receiver that blocks may take the first.
func TestCloseWakesPollBesideABlockedReceiver(t *testing.T) {
	for range 20 {
		c, _, stop := blockedReceiver(t)
		stop()
		raw, err := c.SyscallConn()
		testkit.Must(t, err)
		polling := make(chan bool)
		polled := testkit.Background(func() error {
			return raw.Control(func(fd uintptr) {
				close(polling)
				unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			})
		})
		<-polling
		closed := testkit.Background(c.Close)
		testkit.Must(t, testkit.Next(t, closed))
		testkit.Must(t, testkit.Next(t, polled))
	}
}

func TestRawConnReadFailsAtTheDeadline(t *testing.T) {
	c := dialTest(t, Config{})
	raw, err := c.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, c.SetReadDeadline(time.Now()))
	if err := raw.Read(func(uintptr) bool { return false }); !os.IsTimeout(err) {
		t.Error(err)
	}
}

func TestRawConnDoesNotWaitToWrite(t *testing.T) {
	c := dialTest(t, Config{})
	raw, err := c.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Write(func(uintptr) bool { return true }))
	if err := raw.Write(func(uintptr) bool { return false }); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

func TestCloseEndsABlockedReceive(t *testing.T) {
	c, ended, _ := blockedReceiver(t)
	d := c.t.(*socket).own.fd
	testkit.Must(t, c.Close())
	if _, err := unix.FcntlInt(uintptr(d), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor after Close: %v", err)
	}
	if err := testkit.Next(t, ended); err == nil {
		t.Error("Receive succeeded on a closed Conn")
	}
}

// TestPacketBeforeTheGateOpensIsFound: the gate does not report a socket that its list
// has from before it was closed.
func TestPacketBeforeTheGateOpensIsFound(t *testing.T) {
	overBlocking(t, func(k *kernel) {
		own := k.counts.transport.(blockingPipe).own
		var s seen
		b := s.batch(1)
		receive := func() <-chan error { return testkit.Background(func() error { return k.conn.Receive(b) }) }
		received := receive()
		testkit.Await(k, "it waits in the poller", own.open.Load)
		k.packets(1, 1)
		testkit.Must(k, testkit.Next(k, received))

		own.closeGate() // as a receiver that blocks does
		read := b.sys.read
		b.sys.read = func(fd uintptr) bool {
			b.sys.read = read
			defer k.packets(2, 2)
			return read(fd)
		}
		testkit.Must(k, testkit.Next(k, receive()))
		s.want(k, 1, 2)
	})
}
