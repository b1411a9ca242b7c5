package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/attr"
)

// A linkWatch is a route netlink socket that hears of interfaces. Names change
// seldom, so it may use mdlayher/netlink's own Receive.
type linkWatch struct {
	conn  *netlink.Conn
	ns    *os.File // the namespace it is in
	stale bool     // news were lost, and the names not read since
}

// watchLinks opens a watch in the namespace of t, and returns all names.
func watchLinks(t transport) (watch, map[int]string, error) {
	ns, err := netNS(t)
	if err != nil {
		return nil, nil, err
	}
	w := &linkWatch{ns: ns}
	// Listen first, then ask: what changes in between is heard.
	err = inside(ns, func() (err error) {
		w.conn, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK})
		return err
	})
	if err != nil {
		ns.Close()
		return nil, nil, fmt.Errorf("nfnl: listen for interfaces: %w", err)
	}
	names, err := w.list()
	if err != nil {
		w.end()
		return nil, nil, fmt.Errorf("nfnl: list the interfaces: %w", err)
	}
	return w, names, nil
}

// list asks for all interfaces.
func (w *linkWatch) list() (names map[int]string, err error) {
	err = inside(w.ns, func() error {
		names, err = listLinks()
		return err
	})
	return names, err
}

// listLinks asks for all interfaces of the calling thread's namespace.
func listLinks() (map[int]string, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	all, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, unix.SizeofIfInfomsg),
	})
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	applyLinks(names, all)
	return names, nil
}

func (w *linkWatch) next(names map[int]string) (map[int]string, error) {
	if !w.stale {
		news, err := w.conn.Receive()
		if err == nil {
			applyLinks(names, news)
			return names, nil
		}
		// ENOBUFS: some news were lost, and all that follow are until the socket is
		// empty. After any other error nobody knows.
		w.stale = true
	}
	// What is still there is older than the list.
	if err := w.empty(); err != nil {
		return nil, err
	}
	names, err := w.list()
	w.stale = err != nil
	return names, err
}

// empty throws away what is on the socket.
func (w *linkWatch) empty() error {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		for err == nil || err == unix.EINTR || err == unix.ENOBUFS {
			_, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT)
		}
	})
}

func (w *linkWatch) end() error { return errors.Join(w.conn.Close(), w.ns.Close()) }

// applyLinks sets and deletes names.
//
//	 0        1     2        4             8        12       16
//	+--------+-----+--------+-------------+--------+--------+----------------+
//	| family | pad | type   | index       | flags  | change | attributes ... |
//	+--------+-----+--------+-------------+--------+--------+----------------+
//	struct ifinfomsg of linux/rtnetlink.h, in host byte order
func applyLinks(names map[int]string, news []netlink.Message) {
	for _, m := range news {
		if len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := int(int32(binary.NativeEndian.Uint32(m.Data[4:])))
		switch m.Header.Type {
		case unix.RTM_NEWLINK:
			for d := attr.NewDecoder(m.Data[unix.SizeofIfInfomsg:]); d.Next(); {
				if d.Type() == unix.IFLA_IFNAME {
					names[index] = string(d.CString())
				}
			}
		case unix.RTM_DELLINK:
			// A port that leaves its bridge is deleted too, in the bridge's family.
			if m.Data[0] == unix.AF_UNSPEC {
				delete(names, index)
			}
		}
	}
}
