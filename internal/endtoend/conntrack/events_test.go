//go:build linux

package conntrack

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// Numbers of linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
const (
	subsystemConntrack = 1 // NFNL_SUBSYS_CTNETLINK
	groupConntrackNew  = 1 // NFNLGRP_CONNTRACK_NEW
	conntrackStats     = 5 // IPCTNL_MSG_CT_GET_STATS
)

// requireConntrackNetlink skips the test on a kernel without nf_conntrack_netlink.
func requireConntrackNetlink(t *testing.T, n *lab.Net) {
	t.Helper()
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	err = conn.Request(nfnl.Message{Type: subsystemConntrack<<8 | conntrackStats})
	if errors.Is(err, syscall.EINVAL) {
		t.Skip("this kernel has no nf_conntrack_netlink: ", err)
	}
	testkit.Must(t, err)
}

// A Conn by itself carries the messages of other subsystems: here what connection
// tracking reports of new connections, as the example of Conn counts them.
func TestConnReceivesEventsOfConntrack(t *testing.T) {
	n := endtoend.NewNet(t)
	requireConntrackNetlink(t, n)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	raw, err := conn.SyscallConn()
	testkit.Must(t, err)
	var joined error
	testkit.Must(t, raw.Control(func(fd uintptr) {
		joined = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, groupConntrackNew)
	}))
	testkit.Must(t, joined)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Tracked(lab.New))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, from, "x")
	endtoend.WantReceived(t, to, "x")
	events := 0
	b := nfnl.NewBatch(4, 8<<10, func(m nfnl.Message, err error) {
		testkit.Must(t, err)
		if m.Type>>8 != subsystemConntrack || m.Family != nfnl.IPv4 || len(m.Attrs) == 0 {
			t.Errorf("got %+v", m)
		}
		events++
	})
	testkit.Must(t, conn.SetReadDeadline(time.Now().Add(testkit.Patience)))
	testkit.Must(t, conn.Receive(b))
	if events != 1 {
		t.Errorf("%d events of one connection", events)
	}
}
