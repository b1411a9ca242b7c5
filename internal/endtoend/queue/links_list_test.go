//go:build linux

package queue

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// A linkMaker makes pairs of veth devices, in groups that can be deleted at once.
type linkMaker struct {
	t    *testing.T
	conn *netlink.Conn
}

// newLinkMaker returns one for n.
func newLinkMaker(t *testing.T, n *lab.Net) *linkMaker {
	t.Helper()
	m := &linkMaker{t: t}
	testkit.Must(t, n.Do(func() (err error) {
		m.conn, err = netlink.Dial(unix.NETLINK_ROUTE, nil)
		return err
	}))
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// request sends a message about interfaces.
func (m *linkMaker) request(typ uint16, flags netlink.HeaderFlags, attrs func(*netlink.AttributeEncoder)) error {
	e := netlink.NewAttributeEncoder()
	attrs(e)
	b, err := e.Encode()
	if err != nil {
		return err
	}
	_, err = m.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), b...),
	})
	return err
}

// add makes a pair in a group.
func (m *linkMaker) add(name, peer string, group uint32) {
	m.t.Helper()
	testkit.Must(m.t, m.request(unix.RTM_NEWLINK, netlink.Create|netlink.Excl, func(e *netlink.AttributeEncoder) {
		e.String(unix.IFLA_IFNAME, name)
		e.Uint32(unix.IFLA_GROUP, group)
		e.Nested(unix.IFLA_LINKINFO, func(e *netlink.AttributeEncoder) error {
			e.String(unix.IFLA_INFO_KIND, "veth")
			e.Nested(unix.IFLA_INFO_DATA, func(e *netlink.AttributeEncoder) error {
				p := netlink.NewAttributeEncoder()
				p.String(unix.IFLA_IFNAME, peer)
				p.Uint32(unix.IFLA_GROUP, group)
				b, err := p.Encode()
				e.Bytes(vethInfoPeer, append(make([]byte, unix.SizeofIfInfomsg), b...))
				return err
			})
			return nil
		})
	}))
}

// vethInfoPeer is VETH_INFO_PEER of linux/veth.h.
const vethInfoPeer = 1

// deleteGroup deletes all of a group, at once.
func (m *linkMaker) deleteGroup(group uint32) error {
	return m.request(unix.RTM_DELLINK, 0, func(e *netlink.AttributeEncoder) { e.Uint32(unix.IFLA_GROUP, group) })
}

// Interfaces go while Links lists them, which makes kernels before 6.9 leave
// others out of the list: they have their names all the same.
func TestLinksAreWholeWhileOthersAreDeleted(t *testing.T) {
	const rounds, passing, staying, group = 6, 100, 200, 77
	n := endtoend.NewNet(t)
	m := newLinkMaker(t, n)
	for i := range staying {
		m.add(fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), 0)
	}
	c, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer c.Close()
	took := 10 * time.Millisecond
	for range rounds {
		for i := range passing {
			m.add(fmt.Sprintf("v%d", i), fmt.Sprintf("w%d", i), group)
		}
		wait := rand.N(took)
		deleted := testkit.Background(func() error {
			time.Sleep(wait)
			return m.deleteGroup(group)
		})
		start := time.Now()
		l, err := c.Links()
		testkit.Must(t, err)
		took = max(time.Since(start), time.Millisecond)
		testkit.Must(t, testkit.Next(t, deleted))
		wantNamesOf(t, n, l)
		testkit.Must(t, l.Close())
	}
}

// wantNamesOf fails the test unless l names every interface of n.
func wantNamesOf(t *testing.T, n *lab.Net, l *nfnl.Links) {
	t.Helper()
	var all []net.Interface
	testkit.Must(t, n.Do(func() (err error) {
		all, err = net.Interfaces()
		return err
	}))
	for _, i := range all {
		if got := l.Name(i.Index); got != i.Name {
			t.Errorf("interface %d is called %q, want %q", i.Index, got, i.Name)
			return
		}
	}
}
