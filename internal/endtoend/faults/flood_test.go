//go:build linux

package faults

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// An auditor is a handler's memory of the IDs it has seen.
type auditor struct{ last, wrong atomic.Uint32 }

// accept accepts, and notes IDs that do not rise.
func (a *auditor) accept(p *nfqueue.Packet) nfqueue.Verdict {
	if p.ID <= a.last.Swap(p.ID) {
		a.wrong.Add(1)
	}
	return nfqueue.Accept()
}

// check checks, when Run has ended, that every packet up to the last was either
// seen or counted as lost.
func (a *auditor) check(t *testing.T, q *nfqueue.Queue) {
	t.Helper()
	s := q.Stats()
	if last := uint64(a.last.Load()); s.Packets+s.Lost != last {
		t.Errorf("%d packets and %d lost, but the last has ID %d", s.Packets, s.Lost, last)
	}
	if s.Lost > uint64(s.SocketDrops) {
		t.Errorf("%d packets lost, but only %d found no room on the socket", s.Lost, s.SocketDrops)
	}
	if n := a.wrong.Load(); n > 0 {
		t.Errorf("%d packets came out of order", n)
	}
	if s.Malformed > 0 || s.Refused > 0 || s.Gone > 0 {
		t.Errorf("stats %+v, want none malformed, refused or gone", s)
	}
}

// The first packets come in the middle of Open, before the kernel's answer.
func TestOpenUnderFloodLosesNothingUncounted(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	testkit.Must(t, l.Queue.Close())
	endtoend.Flood(t, l.From)
	for range 50 {
		q := endtoend.OpenQueue(t, l.Net, nfqueue.Config{})
		var a auditor
		stop := endtoend.RunQueue(t, q, a.accept)
		testkit.Await(t, "100 packets", func() bool { return a.last.Load() >= 100 })
		stop()
		a.check(t, q)
		testkit.Must(t, q.Close())
	}
}

// Requests get their answers beside Run, which has to read the same socket. An answer
// is behind all that the receive buffer holds, so that is small here.
func TestRequestsUnderFlood(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	testkit.Must(t, l.Queue.Close())
	conn, err := nfnl.Dial(nfnl.Config{NetNS: l.Net.FD(), ReadBuffer: 256 << 10})
	testkit.Must(t, err)
	var cfg nfqueue.Config
	q, err := nfqueue.OpenConn(conn, cfg)
	testkit.Must(t, err)
	defer q.Close()
	var a auditor
	stop := endtoend.RunQueue(t, q, a.accept)
	endtoend.Flood(t, l.From)

	bind, err := cfg.Bind()
	testkit.Must(t, err)
	done := testkit.Background(func() error {
		for range 200 {
			// The kernel's answer to who has the queue already.
			if err := conn.Request(bind); !errors.Is(err, syscall.EBUSY) {
				return errors.Join(errors.New("request"), err)
			}
		}
		return nil
	})
	testkit.Must(t, testkit.Next(t, done))
	stop()
	a.check(t, q)
}

// A queue changes its mind while packets stream in: none is lost, and those
// that come later come as it said last.
func TestConfigureUnderFlood(t *testing.T) {
	const room = 200 // the fewer packets wait, the sooner those behind them come
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{MaxLen: room})
	var a auditor
	var length atomic.Int64
	stop := endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		length.Store(int64(len(p.Payload)))
		return a.accept(p)
	})
	endtoend.Flood(t, l.From)
	for range 50 {
		for _, copyRange := range []uint32{endtoend.IPv4Header, 0} {
			testkit.Must(t, l.Queue.Configure(nfqueue.Config{MaxLen: room, CopyRange: copyRange}))
			testkit.Await(t, "packets of that length", func() bool { return (length.Load() == endtoend.IPv4Header) == (copyRange == endtoend.IPv4Header) })
		}
	}
	stop()
	a.check(t, l.Queue)
}

// The kernel's answer finds no room on a socket that nobody reads; Configure
// makes some, and keeps what it finds for later.
func TestConfigureWithNobodyReceiving(t *testing.T) {
	const sent = 200
	cfg := nfqueue.Config{Socket: nfnl.Config{ReadBuffer: 8 << 10}}
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, cfg)
	endtoend.SendNumbers(t, l.From, 0, sent)
	if l.Queue.Stats().SocketDrops == 0 {
		t.Fatal("the socket has room left")
	}
	cfg.CopyRange = endtoend.IPv4Header
	testkit.Must(t, l.Queue.Configure(cfg))
	for i := range endtoend.AcceptWaiting(t, l.Queue) {
		endtoend.WantReceived(t, l.To, fmt.Sprint(i))
	}
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.Send(t, l.From, "last")
	endtoend.WantReceived(t, l.To, "last")
	if s := l.Queue.Stats(); s.Packets == 0 || s.Packets+s.Lost != sent+1 {
		t.Errorf("%d packets and %d lost of %d", s.Packets, s.Lost, sent+1)
	}
}

func TestConfigureInTheHandler(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	lengths := make(chan int, 2)
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		lengths <- len(p.Payload)
		if err := l.Queue.Configure(nfqueue.Config{CopyRange: endtoend.IPv4Header}); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept()
	})
	endtoend.Send(t, l.From, "whole")
	endtoend.WantReceived(t, l.To, "whole")
	endtoend.Send(t, l.From, "header")
	endtoend.WantReceived(t, l.To, "header")
	if first, second := testkit.Next(t, lengths), testkit.Next(t, lengths); first != endtoend.IPv4.Headers+5 || second != endtoend.IPv4Header {
		t.Errorf("%d bytes, then %d, want %d, then %d", first, second, endtoend.IPv4.Headers+5, endtoend.IPv4Header)
	}
}
