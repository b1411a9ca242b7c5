//go:build linux

package faults

import (
	"fmt"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// With nobody receiving, a small buffer overflows; what is lost is counted once
// a packet comes behind the gap, and not one packet is missing in the sum.
func TestOverflowIsCountedToThePacket(t *testing.T) {
	const sent = 1000
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{OnError: reported.Add, Socket: nfnl.Config{ReadBuffer: 64 << 10}})
	endtoend.SendNumbers(t, l.From, 0, sent)
	for i := range endtoend.AcceptWaiting(t, l.Queue) {
		endtoend.WantReceived(t, l.To, fmt.Sprint(i))
	}
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.Send(t, l.From, "last")
	endtoend.WantReceived(t, l.To, "last") // the socket works again at once
	s := l.Queue.Stats()
	if s.Lost == 0 || s.Packets+s.Lost != sent+1 || s.Bypassed != 0 {
		t.Errorf("%d packets, %d lost, %d bypassed of %d sent", s.Packets, s.Lost, s.Bypassed, sent+1)
	}
	endtoend.WantOverruns(t, &reported, s.Lost, false)
	if k, ok := endtoend.KernelStats(t, l.Queue); ok && uint64(k.Lost) != s.Lost {
		t.Errorf("%d lost, but the kernel says %d", s.Lost, k.Lost)
	}

	for range 100 {
		endtoend.Send(t, l.From, "more")
		endtoend.WantReceived(t, l.To, "more")
	}
	if after := l.Queue.Stats(); after.Lost != s.Lost || after.Packets != s.Packets+100 {
		t.Errorf("stats %+v after 100 packets more, %+v before", after, s)
	}
}

func TestFailOpenLetsOverflowThrough(t *testing.T) {
	const sent = 100 // a receiver's buffer holds more, at up to 2 KiB each
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{
		FailOpen: true, OnError: reported.Add, Socket: nfnl.Config{ReadBuffer: 8 << 10},
	})
	endtoend.SendNumbers(t, l.From, 0, sent)
	endtoend.AcceptWaiting(t, l.Queue)
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.Send(t, l.From, "last")

	arrived := make(map[string]bool)
	for range sent + 1 {
		arrived[endtoend.Receive(t, l.To)] = true
	}
	if len(arrived) != sent+1 {
		t.Errorf("%d different datagrams arrived, want %d", len(arrived), sent+1)
	}
	s := l.Queue.Stats()
	if s.Lost == 0 || s.Packets+s.Lost != sent+1 || s.Bypassed != s.Lost {
		t.Errorf("%d packets, %d lost, %d bypassed of %d sent", s.Packets, s.Lost, s.Bypassed, sent+1)
	}
	endtoend.WantOverruns(t, &reported, s.Lost, true)
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
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{MaxLen: room, FailOpen: c.failOpen})
			endtoend.SendNumbers(t, l.From, 0, sent)
			if k, ok := endtoend.KernelStats(t, l.Queue); ok && (k.Waiting != room || !c.failOpen && k.Full != sent-room) {
				t.Errorf("the kernel says %+v, want %d waiting", k, room)
			}
			endtoend.RunQueue(t, l.Queue, endtoend.Accept)
			endtoend.WantReceived(t, l.To, c.arrive...)
			endtoend.Send(t, l.From, "last")
			endtoend.WantReceived(t, l.To, "last")
			if s := l.Queue.Stats(); s.Packets != room+1 || s.Lost != 0 || c.failOpen && s.Full+s.Bypassed != 0 {
				t.Errorf("stats %+v, want %d packets, and with FailOpen no sign of the others", s, room+1)
			}
		})
	}
}
