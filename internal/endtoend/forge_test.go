//go:build linux

package endtoend

import (
	"errors"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
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
	n := newNet(t)
	var told collector
	dial := func() *nfnl.Conn {
		conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
		must(t, err)
		return conn
	}
	ours := dial()
	q, err := nfqueue.OpenConn(ours, nfqueue.Config{Queue: 3, OnError: told.add})
	must(t, err)
	defer q.Close()
	logs := dial()
	r, err := nflog.OpenConn(logs, nflog.Config{Groups: []uint16{3}, OnError: told.add})
	must(t, err)
	defer r.Close()
	passed := dial()
	copied, err := nfnl.FileConn(handOver(t, passed))
	must(t, err)
	defer copied.Close()
	must(t, passed.Close())
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(3))
	to, from := udpPair(t, n, "udp", ipv4.address())
	hold, tickets := holder()
	runQueue(t, q, hold)
	send(t, from, "x")
	held := take(t, q, tickets, 1)[0]

	// A packet, an acknowledgement and a refusal, of whatever might be asked next.
	forged := [][]byte{nfnl.Message{Header: nfnl.Header{Type: 0x0300, Resource: 3}}.Append(nil)}
	for seq := range uint32(5) {
		h := nfnl.Header{Type: 0x0302, Seq: seq, Resource: 3}
		forged = append(forged, nfnltest.AppendReply(nil, h, 0), nfnltest.AppendReply(nil, h, unix.ENODEV))
	}
	must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, victim := range []*nfnl.Conn{ours, logs, copied} {
			for _, datagram := range forged {
				to := unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: victim.PortID()}
				if err := unix.Sendto(fd, datagram, 0, &to); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("sending to port %d: %v, want ECONNREFUSED", victim.PortID(), err)
				}
			}
		}
		return nil
	}))
	must(t, q.Configure(nfqueue.Config{Queue: 3, CopyRange: 99, OnError: told.add}))
	must(t, r.Configure(nflog.Config{Groups: []uint16{3}, OnError: told.add}))

	other := dial()
	defer other.Close()
	verdict, err := nfqueue.Accept().Append(nil, &nfqueue.Packet{ID: held.ID(), Queue: 3})
	must(t, err)
	m, _, err := nfnl.Next(verdict)
	must(t, err)
	wantError(t, "another program's verdict", other.Request(m), os.ErrPermission)
	must(t, held.SetVerdict(nfqueue.Accept()))
	wantReceived(t, to, "x")
	if s, l := q.Stats(), r.Stats(); s.Malformed+s.Gone+s.Refused+uint64(l.Malformed) != 0 || len(told.errs) != 0 {
		t.Errorf("stats %+v and %+v, OnError was told %v", s, l, told.errs)
	}
}
