//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// fulls returns how many packets OnError was called for that found the queue full, in
// how many calls.
func fulls(c *testkit.Errors) (n uint64, calls int) {
	for _, err := range c.All() {
		if o := (*nfnl.OverrunError)(nil); errors.As(err, &o) && o.Full {
			n += o.Lost
			calls++
		}
	}
	return n, calls
}

// canCount reports whether the kernel's list of queues can be read.
func canCount(t *testing.T, q *nfqueue.Queue) bool {
	_, ok := endtoend.KernelStats(t, q)
	return ok
}

// Packets that find the queue full are counted, and reported while it is full,
// although the handler blocks. Where the kernel's list cannot be read, nothing shows
// it, and KernelStats says why.
func TestFullQueueIsReportedWhileTheHandlerBlocks(t *testing.T) {
	const room, sent = 5, 12
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{MaxLen: room, OnError: reported.Add})
	release := endtoend.Stall(t, l.Queue)
	endtoend.SendNumbers(t, l.From, 0, sent)
	want := uint64(sent - room)
	if canCount(t, l.Queue) {
		if s := l.Queue.Stats(); s.Full != want {
			t.Errorf("stats %+v, want %d for which the queue was full", s, want)
		}
		testkit.Await(t, "OnError is called", func() bool { n, _ := fulls(&reported); return n == want })
	} else {
		want = 0
		if _, err := l.Queue.KernelStats(); !errors.Is(err, os.ErrPermission) {
			t.Errorf("KernelStats: %v", err)
		}
	}
	release()
	for i := range room {
		endtoend.WantReceived(t, l.To, fmt.Sprint(i))
	}
	if s := l.Queue.Stats(); s.Full != want || s.Lost != 0 || s.Packets != room {
		t.Errorf("stats %+v, want %d for which the queue was full", s, want)
	}
}

// However many packets find the queue full, OnError is called once a second for
// all of them.
func TestFullQueueIsReportedOnceASecond(t *testing.T) {
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{MaxLen: 5, OnError: reported.Add})
	if !canCount(t, l.Queue) {
		t.Skip("the kernel shows its count to root only")
	}
	release := endtoend.Stall(t, l.Queue)
	const most = 2500 * time.Millisecond
	begin := time.Now()
	for time.Since(begin) < most {
		endtoend.SendNumbers(t, l.From, 0, 100)
		time.Sleep(5 * time.Millisecond)
	}
	release()
	testkit.Await(t, "OnError is called for all", func() bool { n, _ := fulls(&reported); return n == l.Queue.Stats().Full })
	n, calls := fulls(&reported)
	if passed := int(time.Since(begin) / time.Second); n == 0 || calls > passed+1 {
		t.Errorf("OnError was called for %d packets in %d calls, in %d seconds", n, calls, passed)
	}
	testkit.Must(t, l.Queue.Close())
	time.Sleep(20 * time.Millisecond)
	if _, after := fulls(&reported); after != calls {
		t.Errorf("%d calls after Close", after-calls)
	}
}

// A program that takes over a queue counts from then on.
func TestFullCountsSinceOpen(t *testing.T) {
	n := endtoend.NewNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	cfg := nfqueue.Config{MaxLen: 3}
	testkit.Must(t, bind(conn, cfg))
	endtoend.AddRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(0))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	for range 10 {
		endtoend.Send(t, from, "x")
	}
	q, err := nfqueue.OpenConn(conn, cfg)
	testkit.Must(t, err)
	defer q.Close()
	if s := q.Stats(); s.Full != 0 {
		t.Errorf("%d packets found the queue full before Open", s.Full)
	}
	endtoend.Send(t, from, "x")
	if s := q.Stats(); canCount(t, q) && s.Full != 1 {
		t.Errorf("%d packets found the queue full, want 1", s.Full)
	}
}

// What has found the queue full since OnError was last called is in Stats also after
// the end of the queue, of which the kernel knows nothing then.
func TestFullIsCountedUpToClose(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{MaxLen: 3})
	if !canCount(t, l.Queue) {
		t.Skip("the kernel's list of queues cannot be read here")
	}
	for range 10 {
		endtoend.Send(t, l.From, "x")
	}
	testkit.Must(t, l.Queue.Close())
	testkit.Must(t, l.Queue.Close())
	if s := l.Queue.Stats(); s.Full != 7 {
		t.Errorf("stats %+v, want 7 for which the queue was full", s)
	}
}

// bind binds to a queue as another program would.
func bind(conn *nfnl.Conn, cfg nfqueue.Config) error {
	m, err := cfg.Bind()
	if err != nil {
		return err
	}
	return conn.Request(m)
}
