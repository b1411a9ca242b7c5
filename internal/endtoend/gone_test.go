//go:build linux

package endtoend

import (
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The kernel drops what is queued when any base chain of the namespace goes, or
// a device that the packets are for. Verdicts on those packets come too late,
// which is counted and ends nothing.
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
		t.Run(c.name, func(t *testing.T) {
			const held = 3
			var told collector
			l := newLane(t, ipv4, lab.Output, nfqueue.Config{OnError: told.add})
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
	if len(told.errs) != 1 || !strings.Contains(told.errs[0].Error(), "10 verdicts") {
		t.Errorf("OnError was told %q, want of 10 verdicts at once", told.errs)
	}
}
