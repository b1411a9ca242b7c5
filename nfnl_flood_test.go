//go:build linux

package nfpacket

import (
	"errors"
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

// Requests get their answers beside Run, which has to read the same socket.
func TestRequestsUnderFlood(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	must(t, l.queue.Close())
	conn, err := nfnl.Dial(nfnl.Config{NetNS: l.net.FD(), ReadBuffer: 4 << 20})
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
