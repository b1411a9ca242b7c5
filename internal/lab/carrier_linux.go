package lab

import (
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Up brings the device called name up. If that gives it a carrier, as the second
// end of a veth pair gets one, both ends carry packets when Up returns.
func (n *Net) Up(name string) error {
	err := n.onLink(unix.RTM_NEWLINK, name, unix.IFF_UP, unix.IFF_UP, nil)
	if err == nil {
		err = n.awaitCarrier(name)
	}
	return wrap(err, "bring %s up", name)
}

// awaitCarrier waits until the kernel has done its deferred work for a device
// that got a carrier. Until then the device drops what it should send, the first
// ARP request for one, and that costs its sender a second.
func (n *Net) awaitCarrier(name string) error {
	ifi, err := n.device(name)
	if err != nil {
		return err
	}
	return await(func() (bool, error) { return n.ready(ifi.Index) })
}

// await asks ready again and again until it says true or fails.
func await(ready func() (bool, error)) error {
	for end := time.Now().Add(answerTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok, err := ready(); ok || err != nil {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

// ready reports whether the device of that index, and the other end if it is one
// of a pair, wait for nothing: for they are settled, or have no carrier.
func (n *Net) ready(index int) (bool, error) {
	near, err := n.carrier(index, nil)
	if err != nil || !near.on {
		return err == nil, err
	}
	if near.peer == 0 || !near.settled() {
		return near.settled(), nil
	}
	far, err := n.carrier(near.peer, near.peerNet)
	return far.settled(), err
}

// A carrier is what the kernel tells of a device's readiness.
type carrier struct {
	on      bool
	state   uint8
	peer    int    // index of the other end; 0 when there is none
	peerNet []byte // its namespace, if not the same, as the kernel numbers it
}

// settled reports whether a device that has a carrier uses it. One end of a pair
// does when it is up; for others the kernel may leave the state unknown.
func (c carrier) settled() bool {
	const unknown, up = 0, 6 // IF_OPER_UNKNOWN, IF_OPER_UP
	return c.state == up || c.state == unknown && c.peer == 0
}

// carrier asks about the device of that index, in n or else in the namespace
// that n's kernel numbers so. A recent kernel does the deferred work for a
// device, and only for that one, before it answers; hence each end is asked.
func (n *Net) carrier(index int, netID []byte) (c carrier, err error) {
	ae := netlink.NewAttributeEncoder()
	if netID != nil {
		ae.Bytes(unix.IFLA_TARGET_NETNSID, netID)
	}
	msgs, err := n.request(unix.RTM_GETLINK, 0, linkHeader(index, 0, 0), ae)
	if err != nil {
		return c, err
	}
	if len(msgs) == 0 || len(msgs[0].Data) < unix.SizeofIfInfomsg {
		return c, fmt.Errorf("no answer about device %d", index)
	}
	ad, err := netlink.NewAttributeDecoder(msgs[0].Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return c, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_CARRIER:
			c.on = ad.Uint8() != 0
		case unix.IFLA_OPERSTATE:
			c.state = ad.Uint8()
		case unix.IFLA_LINK:
			c.peer = int(ad.Uint32())
		case unix.IFLA_LINK_NETNSID:
			c.peerNet = ad.Bytes()
		}
	}
	return c, ad.Err()
}
