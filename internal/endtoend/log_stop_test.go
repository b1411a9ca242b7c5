//go:build linux

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

func TestLoopLeftInTheMiddleGoesOn(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLogLane(t, v, lab.Output, nflog.Config{Threshold: 10, FlushTimeout: time.Hour})
		l.send(t, 0, 20)
		v.wantNumbers(t, logged(t, l.reader, 3), 0, 3)
		v.wantNumbers(t, logged(t, l.reader, 4), 3, 4)
		b := l.reader.NewBatch()
		if n := receiveLog(t, l.reader, b); n != 13 { // both datagrams came at once
			t.Errorf("%d packets were left", n)
		}
		l.send(t, 20, 10)
		v.wantNumbers(t, logged(t, l.reader, 10), 20, 10)
	})
}

func TestCloseEndsABlockedReader(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	seen := make(chan struct{}, 2)
	loop := func() error {
		for _, err := range l.reader.Packets(context.Background()) {
			if err != nil {
				return err
			}
			seen <- struct{}{}
		}
		return nil
	}
	first, second := background(loop), background(loop)
	l.send(t, 0, 1)
	next(t, seen)
	must(t, l.reader.Close())
	wantError(t, "first loop", next(t, first), net.ErrClosed)
	wantError(t, "second loop", next(t, second), net.ErrClosed)
	must(t, l.reader.Close())
	wantError(t, "Receive", l.reader.Receive(l.reader.NewBatch()), net.ErrClosed)
}

// Whatever came with the packet in whose body the log is closed: no other body
// begins.
func TestCloseInTheBodyEndsTheLoop(t *testing.T) {
	for _, threshold := range []uint32{1, 0, 1000} {
		for name, closeIn := range map[string]func(close func() error) error{
			"here":                 func(close func() error) error { return close() },
			"by another goroutine": func(close func() error) error { return <-background(close) },
		} {
			t.Run(fmt.Sprintf("threshold %d, %s", threshold, name), func(t *testing.T) {
				l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: threshold})
				l.send(t, 0, 2000)
				calls := 0
				var last error
				for _, err := range l.reader.Packets(context.Background()) {
					if last = err; err == nil {
						calls++
						must(t, closeIn(l.reader.Close))
					}
				}
				wantError(t, "loop", last, net.ErrClosed)
				if calls != 1 {
					t.Errorf("%d packets came, want the one in whose body the log was closed", calls)
				}
				openLog(t, l.net, nflog.Config{Groups: []uint16{5}}) // the kernel has it back
			})
		}
	}
}

func TestLogDeadlineEndsReceiving(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	must(t, l.reader.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	wantError(t, "Receive", l.reader.Receive(l.reader.NewBatch()), os.ErrDeadlineExceeded)
	must(t, l.reader.SetReadDeadline(time.Time{}))
	l.send(t, 0, 1)
	ipv4.wantNumbers(t, logged(t, l.reader, 1), 0, 1)
}

// What the kernel has collected when Shutdown is called comes to the loop, which
// then ends; nothing that is logged before is missing.
func TestShutdownHandsOutWhatWasCollected(t *testing.T) {
	const sent = 300
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Groups: []uint16{5, 6}, Threshold: 1000, FlushTimeout: 5 * time.Second})
	addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Log(6, "", 0, 0))
	l.send(t, 0, sent)
	start := time.Now()
	all := rest(t, l.reader)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	var of [7][]*nflog.Packet
	for _, p := range all {
		of[p.Group] = append(of[p.Group], p)
	}
	for _, group := range []int{5, 6} {
		ipv4.wantNumbers(t, of[group], 0, sent)
	}
	if s := l.reader.Stats(); s.Lost+s.Malformed+s.Discarded != 0 || s.Packets != 2*sent {
		t.Errorf("stats %+v", s)
	}
	if got := logGroups(t, l.net); got != "" {
		t.Errorf("groups %q are bound", got)
	}
}

// rest shuts r down and returns what came of that.
func rest(t *testing.T, r *nflog.Reader) (all []*nflog.Packet) {
	t.Helper()
	b := r.NewBatch()
	must(t, r.TryReceive(b)) // so that Shutdown waits for more
	down := background(func() error { return shutdown(r) })
	var err error
	for err == nil {
		for i := range b.Packets {
			all = append(all, b.Packets[i].Clone())
		}
		err = r.Receive(b)
	}
	wantError(t, "Receive", err, net.ErrClosed)
	must(t, next(t, down))
	return all
}

// shutdown shuts r down, with patience.
func shutdown(r *nflog.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Shutdown(ctx)
}

// A loop keeps the groups bound however it ends.
func TestPacketsLoggedBetweenLoops(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	for i := range 3 {
		l.send(t, 20*i, 10)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		packets, err := collectUntil(ctx, l.reader)
		wantError(t, "cancelled loop", err, context.Canceled)
		ipv4.wantNumbers(t, packets, 0, 0)
		ipv4.wantNumbers(t, logged(t, l.reader, 5), 20*i, 5) // and is left
		l.send(t, 20*i+10, 10)
		ipv4.wantNumbers(t, logged(t, l.reader, 15), 20*i+5, 15)
	}
	if s := l.reader.Stats(); s.Packets != 60 || s.Lost != 0 || s.SocketDrops != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A program that looks for packets now and then, with a timeout a loop, misses
// none.
func TestLoopsWithTimeoutsMissNothing(t *testing.T) {
	const rounds = 20
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{})
	var all []*nflog.Packet
	for i := range rounds {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		l.send(t, 2*i, 1)
		packets, err := collectUntil(ctx, l.reader)
		wantError(t, "loop", err, context.DeadlineExceeded)
		cancel()
		all = append(all, packets...)
		l.send(t, 2*i+1, 1) // between two loops
	}
	if missing := 2*rounds - len(all); missing > 0 {
		all = append(all, logged(t, l.reader, missing)...)
	}
	ipv4.wantNumbers(t, all, 0, 2*rounds)
}

// TestCancelledLoopEndsBesideANewOne has rules that log faster than the bodies
// work, so that there is always something to yield.
func TestCancelledLoopEndsBesideANewOne(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1, Socket: nfnl.Config{ReadBuffer: 1 << 18}})
	stop := flood(t, &lane{from: l.from})
	defer stop()
	loop := func(ctx context.Context, yielded chan<- bool) <-chan error {
		return background(func() error {
			for _, err := range l.reader.Packets(ctx) {
				if err != nil {
					return err
				}
				select {
				case yielded <- true:
				default:
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		})
	}
	first, cancelFirst := context.WithCancel(context.Background())
	second, cancelSecond := context.WithCancel(context.Background())
	defer cancelFirst()
	defer cancelSecond()
	ofFirst, ofSecond := make(chan bool), make(chan bool)
	firstEnded := loop(first, ofFirst)
	next(t, ofFirst)
	secondEnded := loop(second, ofSecond)
	cancelFirst()
	wantError(t, "first loop", next(t, firstEnded), context.Canceled)
	next(t, ofSecond) // goes on
	cancelSecond()
	wantError(t, "second loop", next(t, secondEnded), context.Canceled)
}

// TestCancelUnderFlood counts what comes while loops come and go: every packet is
// yielded, in order, or counted as lost.
func TestCancelUnderFlood(t *testing.T) {
	var told collector
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 50, OnError: told.add})
	stop := flood(t, &lane{from: l.from})
	packets, following := uint64(0), uint32(0)
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		for p, err := range l.reader.Packets(ctx) {
			if err != nil {
				wantError(t, "loop", err, context.DeadlineExceeded)
				break
			}
			if packets++; p.Seq < following {
				t.Errorf("number %d after %d", p.Seq, following-1)
			}
			following = p.Seq + 1
		}
		cancel()
	}
	stop()
	if s := l.reader.Stats(); s.Packets != packets || s.Malformed != 0 || s.Packets+s.Lost != uint64(following) {
		t.Errorf("%d packets yielded, up to number %d, stats %+v", packets, int(following)-1, s)
	}
}

// TestShutdownMakesRoomForWhatWasCollected fills the socket to the last datagram,
// so that what the kernel has collected would not fit.
func TestShutdownMakesRoomForWhatWasCollected(t *testing.T) {
	const threshold, collected = 10, 5
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{
		Threshold: threshold, FlushTimeout: time.Hour, Socket: nfnl.Config{ReadBuffer: 32 << 10},
	})
	l.send(t, 0, 100*threshold)
	b := l.reader.NewBatch()
	fit := 0
	for n := 1; n > 0; n = len(b.Packets) {
		must(t, l.reader.TryReceive(b))
		fit += len(b.Packets)
	}
	drops := l.reader.Stats().SocketDrops
	if drops == 0 {
		t.Fatal("the socket holds more than was sent")
	}

	l.send(t, 0, fit+collected)
	down := background(func() error { return shutdown(l.reader) })
	await(t, "the group to be unbound", func() bool { return logGroups(t, l.net) == "" })
	packets, err := collectUntil(context.Background(), l.reader)
	wantError(t, "loop", err, net.ErrClosed)
	must(t, next(t, down))
	ipv4.wantNumbers(t, packets, 0, fit+collected)
	if s := l.reader.Stats(); s.Lost != 0 && s.Lost != uint64(100*threshold-fit) {
		t.Errorf("stats %+v", s)
	}
}

// An event loop, which looks at the descriptor and not at the Reader, sees what
// Shutdown has made the kernel deliver.
func TestEventLoopSeesWhatShutdownBrings(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1000, FlushTimeout: time.Hour})
	b := l.reader.NewBatch()
	must(t, l.reader.TryReceive(b))
	l.send(t, 0, 10)
	down := background(func() error { return shutdown(l.reader) })
	var all []*nflog.Packet
	for len(all) < 10 {
		if !readable(t, l.reader, patience) {
			t.Fatalf("poll sees nothing after %d packets", len(all))
		}
		for n := 1; n > 0; n = len(b.Packets) {
			err := l.reader.TryReceive(b)
			if errors.Is(err, net.ErrClosed) {
				break
			}
			must(t, err)
			for i := range b.Packets {
				all = append(all, b.Packets[i].Clone())
			}
		}
	}
	must(t, next(t, down))
	ipv4.wantNumbers(t, all, 0, 10)
}

// readable waits until poll says that there is something to read.
func readable(t *testing.T, r *nflog.Reader, d time.Duration) bool {
	t.Helper()
	raw, err := r.SyscallConn()
	must(t, err)
	n := 0
	must(t, raw.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(d/time.Millisecond))
		}
	}))
	must(t, err)
	return n > 0
}

// What is in the program and not on the socket, poll sees all the same: what a loop
// has left behind, and what Configure has taken off the socket.
func TestEventLoopSeesWhatIsInTheProgram(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 10, FlushTimeout: time.Hour})
	b := l.reader.NewBatch()
	rest := func() (n int) {
		for {
			must(t, l.reader.TryReceive(b))
			if len(b.Packets) == 0 {
				return n
			}
			n += len(b.Packets)
		}
	}
	for name, leave := range map[string]func(){
		"a loop that was left": func() { logged(t, l.reader, 3) },
		"a cancelled loop that was left": func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			n := 0
			for range l.reader.Packets(ctx) {
				if cancel(); n == 2 {
					break
				}
				n++
			}
		},
		"Configure": func() {
			must(t, l.reader.Configure(nflog.Config{Groups: []uint16{5}, Threshold: 10, FlushTimeout: time.Hour}))
			logged(t, l.reader, 3)
		},
	} {
		l.send(t, 0, 10)
		leave()
		if !readable(t, l.reader, time.Second) {
			t.Errorf("%s: poll sees nothing", name)
		}
		if n := rest(); n != 7 {
			t.Errorf("%s: %d packets were left", name, n)
		}
		if readable(t, l.reader, 0) {
			t.Errorf("%s: poll sees what is no more", name)
		}
	}
}
