//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// kernelStats returns what the kernel knows of q; false where only root may see
// that.
func kernelStats(t testing.TB, q *nfqueue.Queue) (nfqueue.KernelStats, bool) {
	t.Helper()
	s, err := q.KernelStats()
	if errors.Is(err, os.ErrPermission) {
		return s, false
	}
	must(t, err)
	return s, true
}

// accept is the handler that accepts.
func accept(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }

// sendNumbered sends n datagrams of a few bytes.
func sendNumbered(t testing.TB, l *lane, n int) {
	t.Helper()
	for i := range n {
		send(t, l.from, fmt.Sprint(i))
	}
}

// acceptAll accepts what is on the socket, and returns how many packets it was.
func acceptAll(t testing.TB, q *nfqueue.Queue) (n int) {
	t.Helper()
	for b := q.NewBatch(); ; n += len(b.Packets) {
		must(t, q.TryReceive(b))
		if len(b.Packets) == 0 {
			return n
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept()
		}
	}
}

// With nobody receiving, a small buffer overflows; what is lost is counted once
// a packet comes behind the gap, and not one packet is missing in the sum.
func TestOverflowIsCountedToThePacket(t *testing.T) {
	const sent = 1000
	var told collector
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{OnError: told.add, Socket: nfnl.Config{ReadBuffer: 64 << 10}})
	sendNumbered(t, l, sent)
	for i := range acceptAll(t, l.queue) {
		wantReceived(t, l.to, fmt.Sprint(i))
	}
	runQueue(t, l.queue, accept)
	send(t, l.from, "last")
	wantReceived(t, l.to, "last") // the socket works again at once
	s := l.queue.Stats()
	if s.Lost == 0 || s.Packets+s.Lost != sent+1 || s.Bypassed != 0 {
		t.Errorf("%d packets, %d lost, %d bypassed of %d sent", s.Packets, s.Lost, s.Bypassed, sent+1)
	}
	wantOverruns(t, &told, s.Lost, false)
	if k, ok := kernelStats(t, l.queue); ok && uint64(k.Lost) != s.Lost {
		t.Errorf("%d lost, but the kernel says %d", s.Lost, k.Lost)
	}

	for range 100 {
		send(t, l.from, "more")
		wantReceived(t, l.to, "more")
	}
	if after := l.queue.Stats(); after.Lost != s.Lost || after.Packets != s.Packets+100 {
		t.Errorf("stats %+v after 100 packets more, %+v before", after, s)
	}
}

// wantOverruns checks that OnError was told of a number of lost packets, and of
// nothing else.
func wantOverruns(t *testing.T, told *collector, lost uint64, bypassed bool) {
	t.Helper()
	told.wantOnly(t, syscall.ENOBUFS)
	sum := uint64(0)
	for _, err := range told.errs {
		var o *nfnl.OverrunError
		if !errors.As(err, &o) || o.Bypassed != bypassed {
			t.Errorf("OnError was told %#v, want an OverrunError with Bypassed %v", err, bypassed)
			continue
		}
		sum += o.Lost
	}
	if sum != lost {
		t.Errorf("OnError was told of %d lost packets, want %d", sum, lost)
	}
}

func TestFailOpenLetsOverflowThrough(t *testing.T) {
	const sent = 100 // a receiver's buffer holds more, at up to 2 KiB each
	var told collector
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{
		FailOpen: true, OnError: told.add, Socket: nfnl.Config{ReadBuffer: 8 << 10},
	})
	sendNumbered(t, l, sent)
	acceptAll(t, l.queue)
	runQueue(t, l.queue, accept)
	send(t, l.from, "last")

	arrived := make(map[string]bool)
	for range sent + 1 {
		arrived[receive(t, l.to)] = true
	}
	if len(arrived) != sent+1 {
		t.Errorf("%d different datagrams arrived, want %d", len(arrived), sent+1)
	}
	s := l.queue.Stats()
	if s.Lost == 0 || s.Packets+s.Lost != sent+1 || s.Bypassed != s.Lost {
		t.Errorf("%d packets, %d lost, %d bypassed of %d sent", s.Packets, s.Lost, s.Bypassed, sent+1)
	}
	wantOverruns(t, &told, s.Lost, true)
}

// A full queue shows in the kernel's counters alone: it gives no IDs to what
// finds no room.
func TestFullQueue(t *testing.T) {
	const room, sent = 5, 12
	for _, c := range []struct {
		name     string
		failOpen bool
		arrive   []string
	}{
		{"drops", false, []string{"0", "1", "2", "3", "4"}},
		{"lets through with FailOpen", true, []string{"5", "6", "7", "8", "9", "10", "11", "0", "1", "2", "3", "4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLane(t, ipv4, lab.Input, nfqueue.Config{MaxLen: room, FailOpen: c.failOpen})
			sendNumbered(t, l, sent)
			if k, ok := kernelStats(t, l.queue); ok && (k.Waiting != room || !c.failOpen && k.Full != sent-room) {
				t.Errorf("the kernel says %+v, want %d waiting", k, room)
			}
			runQueue(t, l.queue, accept)
			wantReceived(t, l.to, c.arrive...)
			send(t, l.from, "last")
			wantReceived(t, l.to, "last")
			if s := l.queue.Stats(); s.Packets != room+1 || s.Lost != 0 {
				t.Errorf("%d packets, %d lost, want %d and 0", s.Packets, s.Lost, room+1)
			}
		})
	}
}
