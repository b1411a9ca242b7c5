//go:build linux

package queue

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A poll without an end shows what happens during one: nothing here can wait for
// its end.
func TestBusyPollFindsPacketsAndIsEnded(t *testing.T) {
	n := endtoend.NewNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{})
	testkit.Must(t, err)
	t.Cleanup(func() { q.Close() })
	(*engine.Conn)(conn).SetBusyPoll(24 * time.Hour)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())

	for _, c := range []struct {
		name string
		end  func(cancel func())
		want error
	}{
		{"cancel", func(cancel func()) { cancel() }, context.Canceled},
		{"Close", func(func()) { testkit.Must(t, q.Close()) }, net.ErrClosed},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := testkit.Background(func() error { return q.Run(ctx, endtoend.Accept) })
		for range 3 {
			endtoend.Send(t, from, c.name)
			endtoend.WantReceived(t, to, c.name)
		}
		c.end(cancel)
		testkit.WantError(t, c.name, testkit.Next(t, done), c.want)
	}
}

func TestBusyPollOfAConfigDecidesOnPackets(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{BusyPoll: 10 * time.Millisecond})
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	for _, pause := range []time.Duration{0, time.Millisecond, 15 * time.Millisecond} { // during polls, and after one
		time.Sleep(pause)
		endtoend.Send(t, l.From, "x")
		endtoend.WantReceived(t, l.To, "x")
	}
}
