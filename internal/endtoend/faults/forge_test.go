//go:build linux

package faults

import (
	"errors"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A program with every privilege in the namespace cannot put a word in the
// kernel's mouth: what it sends to our sockets is refused, however they were
// opened. Nor can it decide on our packets.
func TestForgeryIsRefused(t *testing.T) {
	n := endtoend.NewNet(t)
	var reported testkit.Errors
	dial := func() *nfnl.Conn {
		conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
		testkit.Must(t, err)
		return conn
	}
	ours := dial()
	q, err := nfqueue.OpenConn(ours, nfqueue.Config{Queue: 3, OnError: reported.Add})
	testkit.Must(t, err)
	defer q.Close()
	logs := dial()
	r, err := nflog.OpenConn(logs, nflog.Config{Groups: []uint16{3}, OnError: reported.Add})
	testkit.Must(t, err)
	defer r.Close()
	passed := dial()
	copied, err := nfnl.FileConn(endtoend.DupDescriptor(t, passed))
	testkit.Must(t, err)
	defer copied.Close()
	testkit.Must(t, passed.Close())
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(3))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	hold, tickets := endtoend.HoldAll()
	endtoend.RunQueue(t, q, hold)
	endtoend.Send(t, from, "x")
	held := endtoend.AwaitHeld(t, q, tickets, 1)[0]

	// A packet, an acknowledgement and a refusal, of whatever might be asked next.
	forged := [][]byte{nfnl.Message{Type: 0x0300, Resource: 3}.Append(nil)}
	for seq := range uint32(5) {
		h := nfnl.Message{Type: 0x0302, Seq: seq, Resource: 3}
		forged = append(forged, nfnltest.AppendReply(nil, h, 0), nfnltest.AppendReply(nil, h, unix.ENODEV))
	}
	testkit.Must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, victim := range []*nfnl.Conn{ours, logs, copied} {
			port := (*engine.Conn)(victim).PortID()
			for _, datagram := range forged {
				to := unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: port}
				if err := unix.Sendto(fd, datagram, 0, &to); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("sending to port %d: %v, want ECONNREFUSED", port, err)
				}
			}
		}
		return nil
	}))
	testkit.Must(t, q.Configure(nfqueue.Config{Queue: 3, CopyRange: 99, OnError: reported.Add}))
	testkit.Must(t, r.Configure(nflog.Config{Groups: []uint16{3}, OnError: reported.Add}))

	other := dial()
	defer other.Close()
	verdict, err := nfqueue.Accept().Append(nil, &nfqueue.Packet{ID: held.ID(), Queue: 3})
	testkit.Must(t, err)
	m, _, err := nfnl.Next(verdict)
	testkit.Must(t, err)
	testkit.WantError(t, "another program's verdict", other.Request(m), os.ErrPermission)
	testkit.Must(t, held.SetVerdict(nfqueue.Accept()))
	endtoend.WantReceived(t, to, "x")
	if s, l := q.Stats(), r.Stats(); s.Malformed+s.Gone+s.Refused+uint64(l.Malformed) != 0 || len(reported.All()) != 0 {
		t.Errorf("stats %+v and %+v, OnError was called with %v", s, l, reported.All())
	}
}
