package lab

import (
	"crypto/ecdh"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nlenc"
	"golang.org/x/sys/unix"
)

// generic sends a request to a family of generic netlink, and waits for the
// acknowledgement. The error wraps [errors.ErrUnsupported] if the kernel lacks
// the family.
func (n *Net) generic(family string, cmd uint8, attrs func(*netlink.AttributeEncoder) error) error {
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{NetNS: n.FD()})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	typ, err := genericType(conn, family)
	if err != nil {
		return unsupported(wrap(err, "find the family %s", family))
	}
	_, err = genericRequest(conn, typ, cmd, netlink.Acknowledge, attrs)
	return wrap(err, "%s, command %d", family, cmd)
}

// genericType asks for the message type of a family.
func genericType(conn *netlink.Conn, family string) (netlink.HeaderType, error) {
	const id, name = unix.CTRL_ATTR_FAMILY_ID, unix.CTRL_ATTR_FAMILY_NAME
	msgs, err := genericRequest(conn, unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, 0, func(ae *netlink.AttributeEncoder) error {
		ae.String(name, family)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, m := range msgs {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return 0, err
		}
		for ad.Next() {
			if ad.Type() == id {
				return netlink.HeaderType(ad.Uint16()), nil
			}
		}
	}
	return 0, fmt.Errorf("no family %s: %w", family, unix.ENOENT)
}

// genericRequest sends a request with a struct genlmsghdr, and returns the answer.
func genericRequest(conn *netlink.Conn, typ netlink.HeaderType, cmd uint8, flags netlink.HeaderFlags, attrs func(*netlink.AttributeEncoder) error) ([]netlink.Message, error) {
	ae := netlink.NewAttributeEncoder()
	if err := attrs(ae); err != nil {
		return nil, err
	}
	b, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	return conn.Execute(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | flags},
		Data:   append([]byte{cmd, 1, 0, 0}, b...),
	})
}

// wireguardPort is where each end listens.
const wireguardPort = 51820

// WireGuard makes an end of a WireGuard tunnel to remote, for 10.9.0.0/24. The
// ends are told apart by first.
func (n *Net) WireGuard(name string, remote netip.Addr, first bool) error {
	const (
		set                          = 1          // WG_CMD_SET_DEVICE
		ifname, private, port, peers = 2, 3, 6, 8 // WGDEVICE_A_
		public, endpoint, allowed    = 1, 4, 9    // WGPEER_A_
		family, address, bits        = 1, 2, 3    // WGALLOWEDIP_A_
	)
	if err := n.newLink("wireguard", name, func(*netlink.AttributeEncoder) error { return nil }); err != nil {
		return unsupported(err)
	}
	own, far := key(1), key(2)
	if !first {
		own, far = far, own
	}
	return n.generic("wireguard", set, func(ae *netlink.AttributeEncoder) error {
		ae.String(ifname, name)
		ae.Bytes(private, own.Bytes())
		ae.Uint16(port, wireguardPort)
		ae.Nested(peers, func(list *netlink.AttributeEncoder) error {
			list.Nested(0, func(peer *netlink.AttributeEncoder) error {
				peer.Bytes(public, far.PublicKey().Bytes())
				peer.Bytes(endpoint, sockaddr4(remote, wireguardPort))
				peer.Nested(allowed, func(list *netlink.AttributeEncoder) error {
					list.Nested(0, func(net *netlink.AttributeEncoder) error {
						net.Uint16(family, unix.AF_INET)
						net.Bytes(address, []byte{10, 9, 0, 0})
						net.Uint8(bits, 24)
						return nil
					})
					return nil
				})
				return nil
			})
			return nil
		})
		return nil
	})
}

// key returns one of the private keys of the lab's tunnels.
func key(seed byte) *ecdh.PrivateKey {
	var b [32]byte
	b[0], b[31] = seed<<3, 0x40
	k, err := ecdh.X25519().NewPrivateKey(b[:])
	if err != nil {
		panic(err) // of 32 bytes there is none that it would refuse
	}
	return k
}

// sockaddr4 returns a struct sockaddr_in.
func sockaddr4(a netip.Addr, port uint16) []byte {
	b := nlenc.Uint16Bytes(unix.AF_INET)
	b = binary.BigEndian.AppendUint16(b, port)
	b = append(b, a.AsSlice()...)
	return append(b, make([]byte, 8)...)
}
