//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
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
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	must(t, l.queue.Close())
	flood(t, l)
	for range 50 {
		q := openQueue(t, l.net, nfqueue.Config{})
		var a auditor
		stop := runQueue(t, q, a.accept)
		await(t, "100 packets", func() bool { return a.last.Load() >= 100 })
		stop()
		a.check(t, q)
		must(t, q.Close())
	}
}

// Requests get their answers beside Run, which has to read the same socket. An answer
// is behind all that the receive buffer holds, so that is small here.
func TestRequestsUnderFlood(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	must(t, l.queue.Close())
	conn, err := nfnl.Dial(nfnl.Config{NetNS: l.net.FD(), ReadBuffer: 256 << 10})
	must(t, err)
	var cfg nfqueue.Config
	q, err := nfqueue.OpenConn(conn, cfg)
	must(t, err)
	defer q.Close()
	var a auditor
	stop := runQueue(t, q, a.accept)
	flood(t, l)

	bind, err := cfg.Bind()
	must(t, err)
	done := background(func() error {
		for range 200 {
			// The kernel's answer to who has the queue already.
			if err := conn.Request(bind); !errors.Is(err, syscall.EBUSY) {
				return errors.Join(errors.New("request"), err)
			}
		}
		return nil
	})
	must(t, next(t, done))
	stop()
	a.check(t, q)
}

// A queue changes its mind while packets stream in: none is lost, and those
// that come later come as it said last.
func TestConfigureUnderFlood(t *testing.T) {
	const room = 200 // the fewer packets wait, the sooner those behind them come
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{MaxLen: room})
	var a auditor
	var length atomic.Int64
	stop := runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		length.Store(int64(len(p.Payload)))
		return a.accept(p)
	})
	flood(t, l)
	for range 50 {
		for _, copyRange := range []uint32{ipv4Header, 0} {
			must(t, l.queue.Configure(nfqueue.Config{MaxLen: room, CopyRange: copyRange}))
			await(t, "packets of that length", func() bool { return (length.Load() == ipv4Header) == (copyRange == ipv4Header) })
		}
	}
	stop()
	a.check(t, l.queue)
}

// The kernel's answer finds no room on a socket that nobody reads; Configure
// makes some, and keeps what it finds for later.
func TestConfigureWithNobodyReceiving(t *testing.T) {
	const sent = 200
	cfg := nfqueue.Config{Socket: nfnl.Config{ReadBuffer: 8 << 10}}
	l := newLane(t, ipv4, lab.Input, cfg)
	sendNumbered(t, l, sent)
	if l.queue.Stats().SocketDrops == 0 {
		t.Fatal("the socket has room left")
	}
	cfg.CopyRange = ipv4Header
	must(t, l.queue.Configure(cfg))
	for i := range acceptAll(t, l.queue) {
		wantReceived(t, l.to, fmt.Sprint(i))
	}
	runQueue(t, l.queue, accept)
	send(t, l.from, "last")
	wantReceived(t, l.to, "last")
	if s := l.queue.Stats(); s.Packets == 0 || s.Packets+s.Lost != sent+1 {
		t.Errorf("%d packets and %d lost of %d", s.Packets, s.Lost, sent+1)
	}
}

// ipv4Header is the length of an IPv4 header without options.
const ipv4Header = 20

func TestConfigureInTheHandler(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	lengths := make(chan int, 2)
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		lengths <- len(p.Payload)
		if err := l.queue.Configure(nfqueue.Config{CopyRange: ipv4Header}); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept()
	})
	send(t, l.from, "whole")
	wantReceived(t, l.to, "whole")
	send(t, l.from, "header")
	wantReceived(t, l.to, "header")
	if first, second := next(t, lengths), next(t, lengths); first != ipv4.headers+5 || second != ipv4Header {
		t.Errorf("%d bytes, then %d, want %d, then %d", first, second, ipv4.headers+5, ipv4Header)
	}
}
