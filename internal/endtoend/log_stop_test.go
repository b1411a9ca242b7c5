//go:build linux

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestLoopLeftInTheMiddleGoesOn(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLogLane(t, v, lab.Output, nflog.Config{Threshold: 10, Collect: time.Hour})
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

func TestCancelLosesNothingThatWasCollected(t *testing.T) {
	const sent = 300
	cause := errors.New("the cause")
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Groups: []uint16{5, 6}, Threshold: 1000, Collect: 5 * time.Second})
	addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Log(6, "", 0, 0))
	for round := range 3 {
		ctx, cancel := context.WithCancelCause(context.Background())
		var all []*nflog.Packet
		ended := background(func() (err error) {
			all, err = collectUntil(ctx, l.reader)
			return err
		})
		await(t, "the groups to be bound", func() bool {
			b, err := procNet(l.net, "netfilter/nfnetlink_log")
			return err != nil || strings.Count(string(b), "\n") == 2
		})
		start := time.Now()
		l.send(t, 0, sent)
		cancel(cause)
		wantError(t, "loop", next(t, ended), cause)
		took := time.Since(start)
		var of [7][]*nflog.Packet
		for _, p := range all {
			of[p.Group] = append(of[p.Group], p)
		}
		for _, group := range []int{5, 6} {
			ipv4.wantNumbers(t, of[group], 0, sent)
			if len(of[group]) > 0 && of[group][0].Seq != 0 {
				t.Errorf("round %d: group %d begins with number %d", round, group, of[group][0].Seq)
			}
		}
		if took > 4*time.Second {
			t.Errorf("cancelling took %v", took)
		}
	}
	if s := l.reader.Stats(); s.Lost != 0 || s.Malformed != 0 || s.Packets != 3*2*sent {
		t.Errorf("stats %+v", s)
	}
}

// A loop that is cancelled gives the groups back, and what is logged while nobody
// has them goes nowhere. A loop that is left keeps them.
func TestPacketsLoggedBetweenLoops(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
		l.send(t, 0, 10)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		packets, err := collectUntil(ctx, l.reader)
		wantError(t, "loop", err, context.Canceled)
		ipv4.wantNumbers(t, packets, 0, 10)

		l.send(t, 10, 100)
		must(t, l.reader.SetReadDeadline(time.Now().Add(-time.Second)))
		wantError(t, "Receive, which binds", l.reader.Receive(l.reader.NewBatch()), os.ErrDeadlineExceeded)
		must(t, l.reader.SetReadDeadline(time.Time{}))
		l.send(t, 110, 10)
		ipv4.wantNumbers(t, logged(t, l.reader, 10), 110, 10)
		if s := l.reader.Stats(); s.Packets != 20 || s.Lost != 0 || s.SocketDrops != 0 {
			t.Errorf("stats %+v", s)
		}
	})
	t.Run("left", func(t *testing.T) {
		l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
		l.send(t, 0, 10)
		ipv4.wantNumbers(t, logged(t, l.reader, 10), 0, 10)
		l.send(t, 10, 10)
		ipv4.wantNumbers(t, logged(t, l.reader, 10), 10, 10)
	})
}

// TestCancelUnderFlood counts what comes while loops come and go.
func TestCancelUnderFlood(t *testing.T) {
	var told collector
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 50, OnError: told.add})
	stop := flood(t, &lane{from: l.from})
	packets := uint64(0)
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		count, first := uint64(0), uint32(0)
		var last uint32
		for p, err := range l.reader.Packets(ctx) {
			if err != nil {
				wantError(t, "loop", err, context.DeadlineExceeded)
				break
			}
			if count == 0 {
				first = p.Seq
			}
			if count++; p.Seq < last {
				t.Errorf("number %d after %d", p.Seq, last)
			}
			last = p.Seq
		}
		cancel()
		if packets += count; count > 0 && first != 0 && l.reader.Stats().Lost == 0 {
			t.Errorf("a loop begins with number %d", first)
		}
	}
	stop()
	if s := l.reader.Stats(); s.Packets != packets || s.Malformed != 0 {
		t.Errorf("%d packets yielded, stats %+v", packets, s)
	}
}

// TestCancelMakesRoomForWhatWasCollected fills the socket to the last datagram,
// so that what the kernel has collected would not fit.
func TestCancelMakesRoomForWhatWasCollected(t *testing.T) {
	const threshold, collected = 10, 5
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{
		Threshold: threshold, Collect: time.Hour, Socket: nfnl.Config{ReadBuffer: 32 << 10},
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
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	packets, err := collectUntil(ctx, l.reader)
	wantError(t, "loop", err, context.Canceled)
	ipv4.wantNumbers(t, packets, 0, fit+collected)
	if n := l.reader.Stats().SocketDrops; n != drops {
		t.Errorf("%d datagrams dropped", n-drops)
	}
}
