//go:build linux

package endtoend

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A poll without an end shows what happens during one: nothing here can wait for
// its end.
func TestBusyPollFindsPacketsAndIsEnded(t *testing.T) {
	n := newNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{})
	must(t, err)
	t.Cleanup(func() { q.Close() })
	conn.SetBusyPoll(24 * time.Hour)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
	to, from := udpPair(t, n, "udp", ipv4.address())

	for _, c := range []struct {
		name string
		end  func(cancel func())
		want error
	}{
		{"cancel", func(cancel func()) { cancel() }, context.Canceled},
		{"Close", func(func()) { must(t, q.Close()) }, net.ErrClosed},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := background(func() error { return q.Run(ctx, accept) })
		for range 3 {
			send(t, from, c.name)
			wantReceived(t, to, c.name)
		}
		c.end(cancel)
		wantError(t, c.name, next(t, done), c.want)
	}
}

func TestBusyPollOfAConfigDecidesOnPackets(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{BusyPoll: 10 * time.Millisecond})
	runQueue(t, l.queue, accept)
	for _, pause := range []time.Duration{0, time.Millisecond, 15 * time.Millisecond} { // during polls, and after one
		time.Sleep(pause)
		send(t, l.from, "x")
		wantReceived(t, l.to, "x")
	}
}
