package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
	testkit.Must(t, p.mayBlock())
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
	if d := wakeUp(t); d > shortWait/2 {
		t.Skipf("packets cannot be frequent: on this machine one that is sent every 50 µs takes %v, as on an emulated one", d)
	}
	testkit.Await(t, "a thread blocks", func() bool { return blocked(t) == 1 })
}

// wakeUp returns how long it takes to pause, as frequently does, and to wake a
// goroutine that waits in the poller; the median.
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
	return took[len(took)/2]
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

func TestReceiverBlocksWhilePacketsAreFrequent(t *testing.T) {
	manyProcessors(t)
	c := dialTest(t, Config{})
	receiving(c)
	stop := frequently(t, c)
	awaitBlocked(t)
	stop()
	testkit.Await(t, "it waits in the poller again", func() bool { return blocked(t) == 0 })
}

// TestReceiversLeaveOneProcessor asks what receivers may do, and does not look at threads:
// whether packets are frequent on both of two sockets would depend on the machine.
func TestReceiversLeaveOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	synctest.Test(t, func(t *testing.T) {
		busy.now, busy.last, busy.began = 0, 0, time.Time{}
		a, b := pace{short: shortWaits}, pace{short: shortWaits}
		want := func(when string, p *pace, may bool) {
			t.Helper()
			if got := p.mayBlock(); got != may {
				t.Errorf("%s: may block is %v", when, got)
			}
		}
		want("alone", &a, true)
		want("beside another", &b, false)
		for range 10 {
			time.Sleep(countEvery)
			want("the first beside another", &a, false)
			want("the second beside another", &b, false)
		}
		for range 6 { // b has no packets
			time.Sleep(countEvery)
			a.mayBlock()
		}
		want("alone again", &a, true)
	})
}

func TestCloseEndsABlockedReceive(t *testing.T) {
	manyProcessors(t)
	c := dialTest(t, Config{})
	ended := receiving(c)
	frequently(t, c)
	awaitBlocked(t)
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
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	testkit.Must(t, err)
	defer unix.Close(fds[1])
	d := newDescriptor(fds[0])
	defer d.Close()
	testkit.Must(t, d.makeGate())
	deliver := func() { unix.Write(fds[1], []byte{1}) }
	parked, read := make(chan bool, 1), 0
	received := testkit.Background(func() error {
		return d.Read(func(fd uintptr) bool {
			var b [1]byte
			if n, _ := unix.Read(int(fd), b[:]); n < 1 {
				if d.open {
					parked <- true
				}
				return false
			}
			read++
			if read == 1 {
				d.closeGate() // as if the receiver blocked, and nothing came in time
				deliver()
			}
			return read == 2
		})
	})
	testkit.Next(t, parked)
	deliver()
	if err := testkit.Next(t, received); err != nil || read != 2 {
		t.Errorf("%d packets of 2 were read, %v", read, err)
	}
}
