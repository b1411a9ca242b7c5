package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answerTime bounds the wait for the kernel's answer to a request: a test that
// fails is better than one that hangs.
const answerTime = 10 * time.Second

// Index returns the index of the device called name.
func (n *Net) Index(name string) (int, error) {
	ifi, err := inside(n, func() (*net.Interface, error) { return net.InterfaceByName(name) })
	if err != nil {
		return 0, fmt.Errorf("lab: device %s: %w", name, err)
	}
	return ifi.Index, nil
}

// Veth makes a pair of virtual Ethernet devices, one called name in n, the other
// called peerName in peer, which may be n too. Both are down.
func (n *Net) Veth(name string, peer *Net, peerName string) error {
	const infoPeer = 1 // VETH_INFO_PEER
	far := netlink.NewAttributeEncoder()
	far.String(unix.IFLA_IFNAME, peerName)
	far.Uint32(unix.IFLA_NET_NS_FD, uint32(peer.FD()))
	farAttrs, err := far.Encode()
	if err != nil {
		return err
	}
	return n.newLink("veth", name, func(data *netlink.AttributeEncoder) error {
		data.Bytes(infoPeer, append(linkHeader(0, 0, 0), farAttrs...))
		return nil
	})
}

// Bridge makes a bridge called name. It is down.
func (n *Net) Bridge(name string) error {
	return n.newLink("bridge", name, func(*netlink.AttributeEncoder) error { return nil })
}

// newLink makes a device of the given kind; data encodes what is particular to
// that kind.
func (n *Net) newLink(kind, name string, data func(*netlink.AttributeEncoder) error) error {
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.IFLA_IFNAME, name)
	ae.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, kind)
		info.Nested(unix.IFLA_INFO_DATA, data)
		return nil
	})
	_, err := n.request(unix.RTM_NEWLINK, netlink.Create|netlink.Excl, linkHeader(0, 0, 0), ae)
	return wrap(err, "make %s %s", kind, name)
}

// DelLink removes the device called name, and with a veth its peer.
func (n *Net) DelLink(name string) error {
	return wrap(n.onLink(unix.RTM_DELLINK, name, 0, 0, nil), "remove %s", name)
}

// Up brings the device called name up. If that gives it a carrier, as the second
// end of a veth pair gets one, both ends carry packets when Up returns.
func (n *Net) Up(name string) error {
	up := func() error { return n.onLink(unix.RTM_NEWLINK, name, unix.IFF_UP, unix.IFF_UP, nil) }
	if err := up(); err != nil {
		return wrap(err, "bring %s up", name)
	}
	for end := time.Now().Add(answerTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		settled, err := n.settled(name)
		if err != nil {
			return wrap(err, "bring %s up", name)
		}
		if settled {
			// The state is seen to change while the kernel is still at work
			// on both ends, under a lock for which this request waits.
			return wrap(up(), "bring %s up", name)
		}
	}
	return wrap(os.ErrDeadlineExceeded, "bring %s up", name)
}

// settled reports whether the kernel has done its deferred work for a device
// that was brought up. Until then the device drops what it should send, the
// first ARP request for one, and that costs its sender a second.
//
// It lists all devices because a question about one makes the kernel do the work
// for that one, and leave the other end of a veth pair for later.
func (n *Net) settled(name string) (bool, error) {
	links, err := n.request(unix.RTM_GETLINK, netlink.Dump, linkHeader(0, 0, 0), netlink.NewAttributeEncoder())
	if err != nil {
		return false, err
	}
	for _, link := range links {
		if len(link.Data) < unix.SizeofIfInfomsg {
			continue
		}
		found, settled, err := linkSettled(link.Data[unix.SizeofIfInfomsg:], name)
		if err != nil || found {
			return settled, err
		}
	}
	return false, unix.ENODEV
}

// linkSettled reports whether the attributes are those of the device called name
// and, if so, show that it has settled. One end of a pair has when it is up; on
// other devices the kernel may have no work to do, and leave the state unknown.
func linkSettled(attrs []byte, name string) (found, settled bool, err error) {
	const operUnknown, operUp = 0, 6 // IF_OPER_UNKNOWN, IF_OPER_UP
	ad, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return false, false, err
	}
	var carrier, state uint8
	var paired bool
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			found = ad.String() == name
		case unix.IFLA_CARRIER:
			carrier = ad.Uint8()
		case unix.IFLA_OPERSTATE:
			state = ad.Uint8()
		case unix.IFLA_LINK:
			paired = true
		}
	}
	settled = carrier == 0 || state == operUp || state == operUnknown && !paired
	return found, settled, ad.Err()
}

// Down takes the device called name down. The kernel drops the packets that came
// or were to leave by it and wait in a queue.
func (n *Net) Down(name string) error {
	return wrap(n.onLink(unix.RTM_NEWLINK, name, 0, unix.IFF_UP, nil), "take %s down", name)
}

// Rename gives the device called name a new name. Kernels before 6.2 refuse that
// while the device is up.
func (n *Net) Rename(name, newName string) error {
	err := n.onLink(unix.RTM_NEWLINK, name, 0, 0, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, newName)
	})
	return wrap(err, "rename %s to %s", name, newName)
}

// SetMTU sets the MTU of the device called name, in bytes.
func (n *Net) SetMTU(name string, mtu int) error {
	err := n.onLink(unix.RTM_NEWLINK, name, 0, 0, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.IFLA_MTU, uint32(mtu))
	})
	return wrap(err, "set the MTU of %s to %d", name, mtu)
}

// SetMaster makes the device called port a port of bridge, or of no bridge when
// bridge is empty.
func (n *Net) SetMaster(port, bridge string) error {
	var master int
	if bridge != "" {
		var err error
		if master, err = n.Index(bridge); err != nil {
			return err
		}
	}
	err := n.onLink(unix.RTM_NEWLINK, port, 0, 0, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.IFLA_MASTER, uint32(master))
	})
	return wrap(err, "make %s a port of %q", port, bridge)
}

// AddAddr gives the device called name the address and the network of p. An IPv6
// address is usable at once, without duplicate address detection.
func (n *Net) AddAddr(name string, p netip.Prefix) error {
	index, err := n.Index(name)
	if err != nil {
		return err
	}
	header := []byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	header = binary.NativeEndian.AppendUint32(header, uint32(index))
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.IFA_LOCAL, p.Addr().AsSlice())
	ae.Bytes(unix.IFA_ADDRESS, p.Addr().AsSlice())
	_, err = n.request(unix.RTM_NEWADDR, netlink.Create|netlink.Excl, header, ae)
	return wrap(err, "add %s to %s", p, name)
}

// AddRoute routes packets for dst through the gateway gw.
func (n *Net) AddRoute(dst netip.Prefix, gw netip.Addr) error {
	// struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
	header := []byte{
		family(dst.Addr()), byte(dst.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST,
		0, 0, 0, 0,
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, dst.Masked().Addr().AsSlice())
	ae.Bytes(unix.RTA_GATEWAY, gw.AsSlice())
	_, err := n.request(unix.RTM_NEWROUTE, netlink.Create|netlink.Excl, header, ae)
	return wrap(err, "route %s by %s", dst, gw)
}

// onLink sends a request about the existing device called name: flags are set
// to the given values where change has a bit, and attrs, if any, adds attributes.
func (n *Net) onLink(typ netlink.HeaderType, name string, flags, change uint32, attrs func(*netlink.AttributeEncoder)) error {
	index, err := n.Index(name)
	if err != nil {
		return err
	}
	ae := netlink.NewAttributeEncoder()
	if attrs != nil {
		attrs(ae)
	}
	_, err = n.request(typ, 0, linkHeader(index, flags, change), ae)
	return err
}

// linkHeader returns a struct ifinfomsg.
func linkHeader(index int, flags, change uint32) []byte {
	b := make([]byte, 4, unix.SizeofIfInfomsg)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// request sends an rtnetlink request, waits for its acknowledgement and returns
// what came before that.
func (n *Net) request(typ netlink.HeaderType, flags netlink.HeaderFlags, header []byte, ae *netlink.AttributeEncoder) ([]netlink.Message, error) {
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: n.FD()})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Best effort: kernels before 4.12 explain less.
	_ = conn.SetOption(netlink.ExtendedAcknowledge, true)
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	return conn.Execute(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   append(header, attrs...),
	})
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// wrap adds to err what was attempted; it returns nil for nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lab: "+format+": %w", append(args, err)...)
}
