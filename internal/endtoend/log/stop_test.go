//go:build linux

package log

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestLoopLeftInTheMiddleGoesOn(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewLoggedUDP(t, v, lab.Output, nflog.Config{Threshold: 10, FlushTimeout: time.Hour})
		endtoend.SendNumbers(t, l.From, 0, 20)
		v.WantNumbers(t, endtoend.NextLogged(t, l.Reader, 3), 0, 3)
		v.WantNumbers(t, endtoend.NextLogged(t, l.Reader, 4), 3, 4)
		b := l.Reader.NewBatch()
		if n := receiveLog(t, l.Reader, b); n != 13 { // both datagrams came at once
			t.Errorf("%d packets were left", n)
		}
		endtoend.SendNumbers(t, l.From, 20, 10)
		v.WantNumbers(t, endtoend.NextLogged(t, l.Reader, 10), 20, 10)
	})
}

func TestCloseEndsABlockedReader(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1})
	seen := make(chan struct{}, 2)
	loop := func() error {
		for _, err := range l.Reader.Packets(context.Background()) {
			if err != nil {
				return err
			}
			seen <- struct{}{}
		}
		return nil
	}
	first, second := testkit.Background(loop), testkit.Background(loop)
	endtoend.SendNumbers(t, l.From, 0, 1)
	testkit.Next(t, seen)
	testkit.Must(t, l.Reader.Close())
	testkit.WantError(t, "first loop", testkit.Next(t, first), net.ErrClosed)
	testkit.WantError(t, "second loop", testkit.Next(t, second), net.ErrClosed)
	testkit.Must(t, l.Reader.Close())
	testkit.WantError(t, "Receive", l.Reader.Receive(l.Reader.NewBatch()), net.ErrClosed)
}

// Whatever came with the packet in whose body the log is closed: no other body
// begins.
func TestCloseInTheBodyEndsTheLoop(t *testing.T) {
	for _, threshold := range []uint32{1, 0, 1000} {
		for name, closeIn := range map[string]func(close func() error) error{
			"here":                 func(close func() error) error { return close() },
			"by another goroutine": func(close func() error) error { return <-testkit.Background(close) },
		} {
			t.Run(fmt.Sprintf("threshold %d, %s", threshold, name), func(t *testing.T) {
				l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: threshold})
				endtoend.SendNumbers(t, l.From, 0, 2000)
				calls := 0
				var last error
				for _, err := range l.Reader.Packets(context.Background()) {
					if last = err; err == nil {
						calls++
						testkit.Must(t, closeIn(l.Reader.Close))
					}
				}
				testkit.WantError(t, "loop", last, net.ErrClosed)
				if calls != 1 {
					t.Errorf("%d packets came, want the one in whose body the log was closed", calls)
				}
				endtoend.OpenLog(t, l.Net, nflog.Config{Groups: []uint16{5}}) // the kernel has it back
			})
		}
	}
}

func TestLogDeadlineEndsReceiving(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1})
	testkit.Must(t, l.Reader.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	testkit.WantError(t, "Receive", l.Reader.Receive(l.Reader.NewBatch()), os.ErrDeadlineExceeded)
	testkit.Must(t, l.Reader.SetReadDeadline(time.Time{}))
	endtoend.SendNumbers(t, l.From, 0, 1)
	endtoend.IPv4.WantNumbers(t, endtoend.NextLogged(t, l.Reader, 1), 0, 1)
}

// A loop keeps the groups bound however it ends.
func TestPacketsLoggedBetweenLoops(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1})
	for i := range 3 {
		endtoend.SendNumbers(t, l.From, 20*i, 10)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		packets, err := collectUntil(ctx, l.Reader)
		testkit.WantError(t, "cancelled loop", err, context.Canceled)
		endtoend.IPv4.WantNumbers(t, packets, 0, 0)
		endtoend.IPv4.WantNumbers(t, endtoend.NextLogged(t, l.Reader, 5), 20*i, 5) // and is left
		endtoend.SendNumbers(t, l.From, 20*i+10, 10)
		endtoend.IPv4.WantNumbers(t, endtoend.NextLogged(t, l.Reader, 15), 20*i+5, 15)
	}
	if s := l.Reader.Stats(); s.Packets != 60 || s.Lost != 0 || s.SocketDrops != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A program that looks for packets now and then, with a timeout a loop, misses
// none.
func TestLoopsWithTimeoutsMissNothing(t *testing.T) {
	const rounds = 20
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{})
	var all []*nflog.Packet
	for i := range rounds {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		endtoend.SendNumbers(t, l.From, 2*i, 1)
		packets, err := collectUntil(ctx, l.Reader)
		testkit.WantError(t, "loop", err, context.DeadlineExceeded)
		cancel()
		all = append(all, packets...)
		endtoend.SendNumbers(t, l.From, 2*i+1, 1) // between two loops
	}
	if missing := 2*rounds - len(all); missing > 0 {
		all = append(all, endtoend.NextLogged(t, l.Reader, missing)...)
	}
	endtoend.IPv4.WantNumbers(t, all, 0, 2*rounds)
}

// TestCancelledLoopEndsBesideANewOne has rules that log faster than the bodies
// work, so that there is always something to yield.
func TestCancelledLoopEndsBesideANewOne(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1, Socket: nfnl.Config{ReadBuffer: 1 << 18}})
	stop := endtoend.Flood(t, l.From)
	defer stop()
	loop := func(ctx context.Context, yielded chan<- bool) <-chan error {
		return testkit.Background(func() error {
			for _, err := range l.Reader.Packets(ctx) {
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
	testkit.Next(t, ofFirst)
	secondEnded := loop(second, ofSecond)
	cancelFirst()
	testkit.WantError(t, "first loop", testkit.Next(t, firstEnded), context.Canceled)
	testkit.Next(t, ofSecond) // goes on
	cancelSecond()
	testkit.WantError(t, "second loop", testkit.Next(t, secondEnded), context.Canceled)
}

// TestCancelUnderFlood counts what comes while loops come and go: every packet is
// yielded, in order, or counted as lost.
func TestCancelUnderFlood(t *testing.T) {
	var reported testkit.Errors
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 50, OnError: reported.Add})
	stop := endtoend.Flood(t, l.From)
	packets, following := uint64(0), uint32(0)
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		for p, err := range l.Reader.Packets(ctx) {
			if err != nil {
				testkit.WantError(t, "loop", err, context.DeadlineExceeded)
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
	if s := l.Reader.Stats(); s.Packets != packets || s.Malformed != 0 || s.Packets+s.Lost != uint64(following) {
		t.Errorf("%d packets yielded, up to number %d, stats %+v", packets, int(following)-1, s)
	}
}
