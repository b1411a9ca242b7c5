//go:build linux

package endtoend

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
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
	must(t, err)
	defer conn.Close()
	err = conn.Request(nfnl.Message{Header: nfnl.Header{Type: subsystemConntrack<<8 | conntrackStats}})
	if errors.Is(err, syscall.EINVAL) {
		t.Skip("this kernel has no nf_conntrack_netlink: ", err)
	}
	must(t, err)
}

// A Conn by itself carries the messages of other subsystems: here what connection
// tracking reports of new connections, as the example of Conn counts them.
func TestConnReceivesEventsOfConntrack(t *testing.T) {
	n := newNet(t)
	requireConntrackNetlink(t, n)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	defer conn.Close()
	raw, err := conn.SyscallConn()
	must(t, err)
	var joined error
	must(t, raw.Control(func(fd uintptr) {
		joined = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, groupConntrackNew)
	}))
	must(t, joined)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Tracked(lab.New))
	to, from := udpPair(t, n, "udp", ipv4.address())
	send(t, from, "x")
	wantReceived(t, to, "x")
	events := 0
	b := nfnl.NewBatch(4, 8<<10, func(m nfnl.Message, err error) {
		must(t, err)
		if m.Type.Subsystem() != subsystemConntrack || m.Family != nfnl.IPv4 || len(m.Attrs) == 0 {
			t.Errorf("got %+v", m)
		}
		events++
	})
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	must(t, conn.Receive(b))
	if events != 1 {
		t.Errorf("%d events of one connection", events)
	}
}
