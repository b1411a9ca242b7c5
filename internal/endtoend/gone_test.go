//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The kernel drops what is queued when any base chain of the namespace goes, or
// a device that the packets are for. Verdicts on those packets come too late,
// which is counted and ends nothing. FailOpen does not save them.
func TestPacketsThatAreGone(t *testing.T) {
	for _, c := range []struct {
		name string
		drop func(t *testing.T, l *lane)
	}{
		{"an unrelated chain is deleted", func(t *testing.T, l *lane) {
			chain, err := l.net.Chain(lab.IPv6, lab.Forward, 0)
			must(t, err)
			must(t, chain.Delete())
		}},
		{"the device goes down", func(t *testing.T, l *lane) {
			must(t, l.net.Down("lo"))
			must(t, l.net.Up("lo"))
		}},
	} {
		for _, failOpen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fail-open %v", c.name, failOpen), func(t *testing.T) {
				const held = 3
				var told collector
				l := newLane(t, ipv4, lab.Output, nfqueue.Config{OnError: told.add, FailOpen: failOpen})
				hold, tickets := holder()
				stop := runQueue(t, l.queue, hold)
				sendNumbered(t, l, held)
				late := take(t, l.queue, tickets, held)
				c.drop(t, l)
				for _, ticket := range late {
					must(t, ticket.SetVerdict(nfqueue.Accept()))
				}
				await(t, "all three are gone", func() bool { return l.queue.Stats().Gone == held })

				send(t, l.from, "later")
				must(t, take(t, l.queue, tickets, 1)[0].SetVerdict(nfqueue.Accept()))
				wantReceived(t, l.to, "later")
				stop()
				told.wantOnly(t, nfqueue.ErrPacketGone)
				if s := l.queue.Stats(); s.Refused != 0 || s.Fallbacks != 0 {
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
			a, b, _, addr := wire(t, ipv4)
			addRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(7))
			later, err := b.Chain(lab.IPv4, lab.Input, 10)
			must(t, err)
			passed, err := later.Add(lab.UDP(9999), lab.Mark(0))
			must(t, err)
			q := openQueue(t, b, nfqueue.Config{Queue: 7, FailOpen: failOpen})
			hold, tickets := holder()
			runQueue(t, q, hold)
			from, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
			must(t, err)
			defer from.Close()
			send(t, from, "one", "two", "three")
			late := take(t, q, tickets, held)

			must(t, b.DelLink("eth0"))
			for _, ticket := range late {
				must(t, ticket.SetVerdict(nfqueue.Accept()))
			}
			await(t, "all three are gone", func() bool { return q.Stats().Gone == held })
			wantPackets(t, passed, 0)
		})
	}
}

// One batch of late verdicts is one call of OnError, with their number.
func TestPacketsGoneInOneBatchAreToldOnce(t *testing.T) {
	const packets = 10
	var told collector
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{OnError: told.add, FlushAfter: time.Hour})
	sendNumbered(t, l, packets)
	unrelated, err := l.net.Chain(lab.IPv6, lab.Forward, 0)
	must(t, err)
	deleted := false
	runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict {
		if !deleted {
			deleted = true
			if err := unrelated.Delete(); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept()
	})
	await(t, "all are gone", func() bool { return l.queue.Stats().Gone == packets })
	send(t, l.from, "later")
	wantReceived(t, l.to, "later")
	told.wantOnly(t, nfqueue.ErrPacketGone)
	var of *nfqueue.PacketError
	if len(told.errs) != 1 || !errors.As(told.errs[0], &of) || of.More != packets-1 {
		t.Errorf("OnError was told %q, want of %d packets at once", told.errs, packets)
	}
}
