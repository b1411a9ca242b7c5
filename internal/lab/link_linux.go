package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answerTime bounds the wait for the kernel's answer to a request: a test that
// fails is better than one that hangs.
const answerTime = 10 * time.Second

// Index returns the index of the device called name.
func (n *Net) Index(name string) (int, error) {
	ifi, err := n.device(name)
	if err != nil {
		return 0, wrap(err, "find its index")
	}
	return ifi.Index, nil
}

func (n *Net) device(name string) (*net.Interface, error) {
	ifi, err := inside(n, func() (*net.Interface, error) { return net.InterfaceByName(name) })
	if err != nil {
		return nil, fmt.Errorf("no device %s: %w", name, err)
	}
	return ifi, nil
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

// SetGSOMax sets how long the GSO packets of the device called name may be, in
// bytes; above 65536 that is BIG TCP.
func (n *Net) SetGSOMax(name string, bytes uint32) error {
	const v6, v4 = 41, 63 // IFLA_GSO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE
	err := n.onLink(unix.RTM_NEWLINK, name, 0, 0, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(v6, bytes)
		ae.Uint32(v4, bytes)
	})
	return wrap(err, "let GSO packets of %s have %d bytes", name, bytes)
}

// SetMaster makes the device called port a port of bridge, or of no bridge when
// bridge is empty.
func (n *Net) SetMaster(port, bridge string) error {
	master := new(net.Interface)
	var err error
	if bridge != "" {
		master, err = n.device(bridge)
	}
	if err == nil {
		err = n.onLink(unix.RTM_NEWLINK, port, 0, 0, func(ae *netlink.AttributeEncoder) {
			ae.Uint32(unix.IFLA_MASTER, uint32(master.Index))
		})
	}
	return wrap(err, "make %s a port of %q", port, bridge)
}

// AddAddr gives the device called name the address and the network of p. An IPv6
// address is usable when AddAddr returns, without duplicate address detection.
func (n *Net) AddAddr(name string, p netip.Prefix) error {
	ifi, err := n.device(name)
	if err == nil {
		header := []byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
		header = binary.NativeEndian.AppendUint32(header, uint32(ifi.Index))
		ae := netlink.NewAttributeEncoder()
		ae.Bytes(unix.IFA_LOCAL, p.Addr().AsSlice())
		ae.Bytes(unix.IFA_ADDRESS, p.Addr().AsSlice())
		_, err = n.request(unix.RTM_NEWADDR, netlink.Create|netlink.Excl, header, ae)
	}
	if err == nil && p.Addr().Is6() {
		err = await(func() (bool, error) { return n.local(p.Addr()) })
	}
	return wrap(err, "add %s to %s", p, name)
}

// local reports whether the IPv6 address a has its local route. The kernel makes
// it some time after the address is added, when the device has joined the group
// to which neighbours direct their question (addrconf_dad_begin). Until then
// nobody can bind to the address, and a question is repeated after a second.
func (n *Net) local(a netip.Addr) (bool, error) {
	want := fmt.Sprintf("%x", a.As16())
	routes, err := inside(n, func() ([]byte, error) { return os.ReadFile("/proc/thread-self/net/ipv6_route") })
	for line := range strings.Lines(string(routes)) {
		// destination, its length, source, its length, gateway, metric, users, uses, flags, device
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != want || f[1] != "80" {
			continue
		}
		flags, err := strconv.ParseUint(f[8], 16, 32)
		if err != nil || flags&unix.RTF_LOCAL != 0 {
			return err == nil, err
		}
	}
	return false, err
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
	ifi, err := n.device(name)
	if err != nil {
		return err
	}
	ae := netlink.NewAttributeEncoder()
	if attrs != nil {
		attrs(ae)
	}
	_, err = n.request(typ, 0, linkHeader(ifi.Index, flags, change), ae)
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
