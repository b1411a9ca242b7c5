//go:build linux

package nfnl_test

import (
	"fmt"
	"log"

	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// A Conn carries the messages of every subsystem of netfilter: this program counts
// the connections that connection tracking reports as new.
func ExampleConn() {
	const (
		subsystem   = 1 // NFNL_SUBSYS_CTNETLINK
		connections = 1 // NFNLGRP_CONNTRACK_NEW
	)
	conn, err := nfnl.Dial(nfnl.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, connections)
	}); err != nil || failed != nil {
		log.Fatal(err, failed)
	}
	count := 0
	b := nfnl.NewBatch(32, 8<<10, func(m nfnl.Message, err error) {
		if err == nil && m.Type>>8 == subsystem {
			count++
		}
	})
	for {
		if err := conn.Receive(b); err != nil {
			log.Fatal(err)
		}
		fmt.Println(count, "new connections in the messages received,", conn.Drops(), "datagrams lost")
	}
}
