//go:build linux

package endtoend

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// UDPPacket returns a UDP datagram to port 9999 with its headers.
func UDPPacket(t testing.TB, src, dst netip.Addr, body string) []byte {
	t.Helper()
	var b []byte
	const hops = 64
	if src.Is4() {
		b = append(b, 0x45, 0, 0, 0, 0, 0, 0, 0, hops, unix.IPPROTO_UDP, 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0, 0, 0, unix.IPPROTO_UDP, hops)
	}
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, 12345)
	b = binary.BigEndian.AppendUint16(b, 9999)
	b = append(b, 0, 0, 0, 0)
	b = append(b, body...)
	testkit.Must(t, nfqueue.Finish(b))
	return b
}

// SendRaw sends packets from n as they are, whatever their checksums.
func SendRaw(t testing.TB, n *lab.Net, dst netip.Addr, packets ...[]byte) {
	t.Helper()
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte(dst.AsSlice())})
	if dst.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: dst.As16()}
	}
	testkit.Must(t, n.Do(func() error {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, p := range packets {
			if err := unix.Sendto(fd, p, 0, to); err != nil {
				return err
			}
		}
		return nil
	}))
}

// SendFrame sends an Ethernet frame out of a device of n.
func SendFrame(t testing.TB, n *lab.Net, device string, frame []byte) {
	t.Helper()
	index, err := n.Index(device)
	testkit.Must(t, err)
	testkit.Must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index})
	}))
}

// EthernetHeader returns an Ethernet header.
func EthernetHeader(to, from net.HardwareAddr) []byte {
	return bytes.Join([][]byte{to, from, {0x08, 0x00}}, nil)
}

// TaggedFrame is a broadcast frame of VLAN 42 with priority 5.
func TaggedFrame(t testing.TB) []byte {
	t.Helper()
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x81, 0, 0xa0, 42, 0x08, 0}
	return append(frame, UDPPacket(t, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), "hello")...)
}

// EtherTypes, as in linux/if_ether.h.
const (
	EtherIPv4 = 0x0800 // ETH_P_IP
	EtherARP  = 0x0806 // ETH_P_ARP
	EtherIPv6 = 0x86dd // ETH_P_IPV6
)
