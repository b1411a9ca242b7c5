package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/attr"
)

// A linkWatch has two route netlink sockets: one gets notifications of
// interfaces, the other requests lists of all. Names change seldom, so the first
// uses the Receive of mdlayher/netlink. The other does not, because that Receive
// hides whether a list was interrupted.
type linkWatch struct {
	events *netlink.Conn
	ask    *netlink.Conn
	stale  bool // news were lost, and the names not read since
}

// watchLinks opens a watch in the namespace of t, and returns all names.
func watchLinks(t transport) (watch, linkNews, error) {
	w := &linkWatch{}
	err := inNetNS(t, func() (err error) {
		// Listen first, then ask: what changes in between is heard.
		w.events, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK})
		if err == nil {
			w.ask, err = netlink.Dial(unix.NETLINK_ROUTE, nil)
		}
		return err
	})
	if err != nil {
		w.end()
		return nil, linkNews{}, fmt.Errorf("nfnl: listen for interfaces: %w", err)
	}
	all, err := w.list()
	if err != nil {
		w.end()
		return nil, linkNews{}, fmt.Errorf("nfnl: list the interfaces: %w", err)
	}
	return w, all, nil
}

// listTries bounds how often the interfaces are listed, while so many are added and
// deleted that no list is complete.
const listTries = 10

// list requests all interfaces. A list that is interrupted, because interfaces
// were deleted meanwhile, may lack others (NLM_F_DUMP_INTR). Then it is requested
// again. The lists together are complete, except for changes of which w.events
// gets notifications.
func (w *linkWatch) list() (linkNews, error) {
	all := linkNews{all: true}
	for range listTries {
		interrupted, err := w.dump(&all)
		if err != nil {
			return linkNews{}, err
		}
		if !interrupted {
			break
		}
	}
	return all, nil
}

// dump appends one list to all, and reports whether it was interrupted.
func (w *linkWatch) dump(all *linkNews) (interrupted bool, err error) {
	request, err := w.ask.Send(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, unix.SizeofIfInfomsg),
	})
	if err != nil {
		return false, err
	}
	buf := make([]byte, maxRouteDatagram)
	for {
		n, err := read(w.ask, buf)
		if err != nil {
			return false, err
		}
		msgs, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return false, err
		}
		for i := range msgs {
			h := &msgs[i].Header
			if h.Seq != request.Header.Sequence {
				continue // of a dump that failed
			}
			interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
			switch h.Type {
			case unix.NLMSG_DONE:
				return interrupted, nil
			case unix.NLMSG_ERROR:
				return false, replyError(msgs[i].Data)
			}
			all.add(h.Type, msgs[i].Data)
		}
	}
}

// maxRouteDatagram is longer than the datagrams of a dump, which the kernel makes
// 32 KiB long for whoever takes that much (netlink_recvmsg).
const maxRouteDatagram = 64 << 10

// read waits for a datagram.
func read(c *netlink.Conn, buf []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	rerr := raw.Read(func(fd uintptr) bool {
		for {
			n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if rerr != nil {
		return 0, rerr
	}
	return n, os.NewSyscallError("recvfrom", err)
}

// replyError returns the errno in the body of an NLMSG_ERROR.
func replyError(body []byte) error {
	if len(body) < 4 {
		return ErrMalformed
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
}

func (w *linkWatch) next() (linkNews, error) {
	if !w.stale {
		msgs, err := w.events.Receive()
		if err == nil {
			var news linkNews
			for i := range msgs {
				news.add(uint16(msgs[i].Header.Type), msgs[i].Data)
			}
			return news, nil
		}
		// ENOBUFS: some news were lost, and all that follow are until the socket is
		// empty. After any other error nobody knows.
		w.stale = true
	}
	// What is still there is older than the list.
	if err := w.empty(); err != nil {
		return linkNews{}, err
	}
	all, err := w.list()
	w.stale = err != nil
	return all, err
}

// empty discards the notifications that are on the socket.
func (w *linkWatch) empty() error {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		for err == nil || err == unix.EINTR || err == unix.ENOBUFS {
			_, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT)
		}
	})
}

func (w *linkWatch) end() (err error) {
	for _, c := range []*netlink.Conn{w.events, w.ask} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

// add appends the change that a message reports, if it is about an interface.
//
//	 0        1     2        4             8        12       16
//	+--------+-----+--------+-------------+--------+--------+----------------+
//	| family | pad | type   | index       | flags  | change | attributes ... |
//	+--------+-----+--------+-------------+--------+--------+----------------+
//	struct ifinfomsg of linux/rtnetlink.h, in host byte order
func (n *linkNews) add(typ uint16, data []byte) {
	if len(data) < unix.SizeofIfInfomsg {
		return
	}
	index := int(int32(binary.NativeEndian.Uint32(data[4:])))
	switch typ {
	case unix.RTM_NEWLINK:
		for d := attr.NewDecoder(data[unix.SizeofIfInfomsg:]); d.Next(); {
			if d.Type() == unix.IFLA_IFNAME {
				n.changes = append(n.changes, linkChange{index: index, name: string(d.CString())})
			}
		}
	case unix.RTM_DELLINK:
		// A port that leaves its bridge is deleted too, in the bridge's family.
		if data[0] == unix.AF_UNSPEC {
			n.changes = append(n.changes, linkChange{index: index, gone: true})
		}
	}
}
