package lab

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Tunnels. Each function makes one end of a tunnel of its kind, a device that is
// down; the error wraps [errors.ErrUnsupported] if the kernel has no such kind.
// The numbers are those of linux/if_link.h and linux/if_tunnel.h.

// An Encap puts IPIP or GRE into UDP.
type Encap uint16

// The encapsulations, TUNNEL_ENCAP_ of linux/if_tunnel.h.
const (
	NoEncap Encap = iota
	FOU
	GUE
)

// VXLAN makes an end of VXLAN number 5, with UDP checksums or without.
func (n *Net) VXLAN(name string, local, remote netip.Addr, checksums bool) error {
	const id, group, own, port, udpChecksums = 1, 2, 4, 15, 18 // IFLA_VXLAN_
	return unsupported(n.newLink("vxlan", name, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(id, 5)
		ae.Bytes(group, remote.AsSlice())
		ae.Bytes(own, local.AsSlice())
		ae.Bytes(port, binary.BigEndian.AppendUint16(nil, 4789))
		ae.Uint8(udpChecksums, bit(checksums))
		return nil
	}))
}

// Geneve makes an end of GENEVE number 5, with UDP checksums or without.
func (n *Net) Geneve(name string, remote netip.Addr, checksums bool) error {
	const id, far, far6, udpChecksums, noneSent6, noneTaken6 = 1, 2, 7, 8, 9, 10 // IFLA_GENEVE_
	return unsupported(n.newLink("geneve", name, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(id, 5)
		if remote.Is4() {
			ae.Bytes(far, remote.AsSlice())
			ae.Uint8(udpChecksums, bit(checksums))
			return nil
		}
		ae.Bytes(far6, remote.AsSlice())
		ae.Uint8(noneSent6, bit(!checksums))
		ae.Uint8(noneTaken6, bit(!checksums))
		return nil
	}))
}

// IPIP makes an end of a tunnel of IP in IP, in UDP to port 5555 if encap says so.
func (n *Net) IPIP(name string, local, remote netip.Addr, encap Encap) error {
	const own, far, proto, typ, dport = 2, 3, 9, 15, 18 // IFLA_IPTUN_
	kind := "ipip"
	if !local.Is4() {
		kind = "ip6tnl"
	}
	return unsupported(n.newLink(kind, name, func(ae *netlink.AttributeEncoder) error {
		ae.Bytes(own, local.AsSlice())
		ae.Bytes(far, remote.AsSlice())
		if !local.Is4() {
			ae.Uint8(proto, 0) // of both versions
		}
		encap.encode(ae, typ, dport)
		return nil
	}))
}

// GRE makes an end of a GRE tunnel, in UDP to port 5555 if encap says so.
func (n *Net) GRE(name string, local, remote netip.Addr, encap Encap) error {
	const own, far, typ, dport = 6, 7, 14, 17 // IFLA_GRE_
	kind := "gre"
	if !local.Is4() {
		kind = "ip6gre"
	}
	return unsupported(n.newLink(kind, name, func(ae *netlink.AttributeEncoder) error {
		ae.Bytes(own, local.AsSlice())
		ae.Bytes(far, remote.AsSlice())
		encap.encode(ae, typ, dport)
		return nil
	}))
}

// encapPort is where IPIP or GRE in UDP goes to.
const encapPort = 5555

func (e Encap) encode(ae *netlink.AttributeEncoder, typ, dport uint16) {
	if e != NoEncap {
		ae.Uint16(typ, uint16(e))
		ae.Bytes(dport, binary.BigEndian.AppendUint16(nil, encapPort))
	}
}

// TakeEncap makes the kernel take IPIP (protocol 4) or GRE (47) out of UDP that
// comes to port 5555.
func (n *Net) TakeEncap(e Encap, protocol byte) error {
	const add = 1                               // FOU_CMD_ADD
	const port, family, proto, typ = 1, 2, 3, 4 // FOU_ATTR_
	return n.generic("fou", add, func(ae *netlink.AttributeEncoder) error {
		ae.Bytes(port, binary.BigEndian.AppendUint16(nil, encapPort))
		ae.Uint8(family, unix.AF_INET)
		ae.Uint8(typ, uint8(e)) // FOU_ENCAP_DIRECT, FOU_ENCAP_GUE
		if e == FOU {
			ae.Uint8(proto, protocol)
		}
		return nil
	})
}

// L2TP makes an end of an L2TPv3 tunnel of Ethernet in UDP.
func (n *Net) L2TP(name string, local, remote netip.Addr) error {
	const (
		tunnel, session = 1, 5 // L2TP_CMD_TUNNEL_CREATE, L2TP_CMD_SESSION_CREATE

		// L2TP_ATTR_
		pwType, encap, version, ifname, conn, peerConn, own, peer = 1, 2, 7, 8, 9, 10, 11, 12
		from, to, sport, dport                                    = 24, 25, 26, 27

		ethernet = 5 // L2TP_PWTYPE_ETH
	)
	err := n.generic("l2tp", tunnel, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(conn, 1)
		ae.Uint32(peerConn, 1)
		ae.Uint8(version, 3)
		ae.Uint16(encap, 0) // L2TP_ENCAPTYPE_UDP
		ae.Bytes(from, local.AsSlice())
		ae.Bytes(to, remote.AsSlice())
		ae.Uint16(sport, 1701)
		ae.Uint16(dport, 1701)
		return nil
	})
	if err != nil {
		return err
	}
	return n.generic("l2tp", session, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(conn, 1)
		ae.Uint32(own, 1)
		ae.Uint32(peer, 1)
		ae.Uint16(pwType, ethernet)
		ae.String(ifname, name)
		return nil
	})
}

// VLAN makes a device for the frames of port that have the tag.
func (n *Net) VLAN(name, port string, protocol, id uint16) error {
	const vid, proto = 1, 5 // IFLA_VLAN_
	return n.newLinkOn(port, "vlan", name, n, func(ae *netlink.AttributeEncoder) error {
		ae.Uint16(vid, id)
		ae.Bytes(proto, binary.BigEndian.AppendUint16(nil, protocol))
		return nil
	})
}

// IPVLAN makes a device in the mode l3s above port, in owner's namespace. Both
// have addresses of their own, and one link-layer address.
func (n *Net) IPVLAN(name, port string, owner *Net) error {
	const mode, l3s = 1, 2 // IFLA_IPVLAN_MODE, IPVLAN_MODE_L3S
	err := n.newLinkOn(port, "ipvlan", name, owner, func(ae *netlink.AttributeEncoder) error {
		ae.Uint16(mode, l3s)
		return nil
	})
	if err != nil {
		return err
	}
	// The kernel leaves its state unknown, for which Up would wait.
	const up = 6 // IF_OPER_UP
	return wrap(owner.onLink(unix.RTM_NEWLINK, name, 0, 0, func(ae *netlink.AttributeEncoder) { ae.Uint8(unix.IFLA_OPERSTATE, up) }), "make ipvlan %s", name)
}

// newLinkOn is newLink for a device of owner that is above another one of n.
func (n *Net) newLinkOn(port, kind, name string, owner *Net, data func(*netlink.AttributeEncoder) error) error {
	ifi, err := n.device(port)
	if err != nil {
		return wrap(err, "make %s %s", kind, name)
	}
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.IFLA_IFNAME, name)
	ae.Uint32(unix.IFLA_LINK, uint32(ifi.Index))
	ae.Uint32(unix.IFLA_NET_NS_FD, uint32(owner.FD()))
	ae.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, kind)
		info.Nested(unix.IFLA_INFO_DATA, data)
		return nil
	})
	_, err = n.request(unix.RTM_NEWLINK, netlink.Create|netlink.Excl, linkHeader(0, 0, 0), ae)
	return unsupported(wrap(err, "make %s %s", kind, name))
}

// unsupported makes an error of one that says that the kernel lacks something.
func unsupported(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return errors.Join(errors.ErrUnsupported, err)
	}
	return err
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
