//go:build linux

package faults

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The kernel drops what is queued when any base chain of the namespace goes, or
// a device that the packets are for. Verdicts on those packets come too late,
// which is counted and not fatal. FailOpen does not save them.
func TestPacketsThatAreGone(t *testing.T) {
	for _, c := range []struct {
		name string
		drop func(t *testing.T, l *endtoend.QueuedUDP)
	}{
		{"an unrelated chain is deleted", func(t *testing.T, l *endtoend.QueuedUDP) {
			chain, err := l.Net.Chain(lab.IPv6, lab.Forward, 0)
			testkit.Must(t, err)
			testkit.Must(t, chain.Delete())
		}},
		{"the device goes down", func(t *testing.T, l *endtoend.QueuedUDP) {
			testkit.Must(t, l.Net.Down("lo"))
			testkit.Must(t, l.Net.Up("lo"))
		}},
	} {
		for _, failOpen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fail-open %v", c.name, failOpen), func(t *testing.T) {
				const held = 3
				var reported testkit.Errors
				l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{OnError: reported.Add, FailOpen: failOpen})
				hold, tickets := endtoend.HoldAll()
				stop := endtoend.RunQueue(t, l.Queue, hold)
				endtoend.SendNumbers(t, l.From, 0, held)
				late := endtoend.AwaitHeld(t, l.Queue, tickets, held)
				c.drop(t, l)
				for _, ticket := range late {
					testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
				}
				testkit.Await(t, "all three are gone", func() bool { return l.Queue.Stats().Gone == held })

				endtoend.Send(t, l.From, "later")
				testkit.Must(t, endtoend.AwaitHeld(t, l.Queue, tickets, 1)[0].SetVerdict(nfqueue.Accept()))
				endtoend.WantReceived(t, l.To, "later")
				stop()
				reported.WantOnly(t, nfqueue.ErrPacketGone)
				if s := l.Queue.Stats(); s.Refused != 0 || s.Fallbacks != 0 {
					t.Errorf("stats %+v, want none refused and no fallback", s)
				}
			})
		}
	}
}

// To delete a device takes it down.
func TestPacketsOfADeletedDeviceAreGone(t *testing.T) {
	const held = 3
	for _, failOpen := range []bool{false, true} {
		t.Run(fmt.Sprintf("fail-open %v", failOpen), func(t *testing.T) {
			a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
			endtoend.AddRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(7))
			later, err := b.Chain(lab.IPv4, lab.Input, 10)
			testkit.Must(t, err)
			passed, err := later.Add(lab.UDP(9999), lab.Mark(0))
			testkit.Must(t, err)
			q := endtoend.OpenQueue(t, b, nfqueue.Config{Queue: 7, FailOpen: failOpen})
			hold, tickets := endtoend.HoldAll()
			endtoend.RunQueue(t, q, hold)
			from, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
			testkit.Must(t, err)
			defer from.Close()
			endtoend.Send(t, from, "one", "two", "three")
			late := endtoend.AwaitHeld(t, q, tickets, held)

			testkit.Must(t, b.DelLink("eth0"))
			for _, ticket := range late {
				testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
			}
			testkit.Await(t, "all three are gone", func() bool { return q.Stats().Gone == held })
			endtoend.WantPackets(t, passed, 0)
		})
	}
}

// One batch of late verdicts is one call of OnError, with their number.
func TestPacketsGoneInOneBatchAreToldOnce(t *testing.T) {
	const packets = 10
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{OnError: reported.Add, FlushAfter: time.Hour})
	endtoend.SendNumbers(t, l.From, 0, packets)
	unrelated, err := l.Net.Chain(lab.IPv6, lab.Forward, 0)
	testkit.Must(t, err)
	deleted := false
	endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
		if !deleted {
			deleted = true
			if err := unrelated.Delete(); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept()
	})
	testkit.Await(t, "all are gone", func() bool { return l.Queue.Stats().Gone == packets })
	endtoend.Send(t, l.From, "later")
	endtoend.WantReceived(t, l.To, "later")
	reported.WantOnly(t, nfqueue.ErrPacketGone)
	var of *nfqueue.PacketError
	if len(reported.All()) != 1 || !errors.As(reported.All()[0], &of) || of.More != packets-1 {
		t.Errorf("OnError was called with %q, want of %d packets at once", reported.All(), packets)
	}
}
