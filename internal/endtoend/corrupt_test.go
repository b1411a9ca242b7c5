//go:build linux

package endtoend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// udpPacket returns a UDP datagram to port 9999 with its headers.
func udpPacket(t testing.TB, src, dst netip.Addr, body string) []byte {
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
	must(t, nfqueue.Finish(b))
	return b
}

// inject sends packets from n as they are, whatever their checksums.
func inject(t testing.TB, n *lab.Net, dst netip.Addr, packets ...[]byte) {
	t.Helper()
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte(dst.AsSlice())})
	if dst.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: dst.As16()}
	}
	must(t, n.Do(func() error {
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

// wire connects two namespaces, and returns addresses of each.
func wire(t testing.TB, v ipVersion) (a, b *lab.Net, addrA, addrB netip.Addr) {
	t.Helper()
	a, b = newNet(t), newNet(t)
	must(t, a.Veth("eth0", b, "eth0"))
	must(t, a.Up("eth0"))
	must(t, b.Up("eth0"))
	prefixes := []string{"192.0.2.1/24", "192.0.2.2/24"}
	if v.family == lab.IPv6 {
		prefixes = []string{"2001:db8::1/64", "2001:db8::2/64"}
	}
	pa, pb := netip.MustParsePrefix(prefixes[0]), netip.MustParsePrefix(prefixes[1])
	must(t, a.AddAddr("eth0", pa))
	must(t, b.AddAddr("eth0", pb))
	return a, b, pa.Addr(), pb.Addr()
}

// A checksum that was wrong when the packet came must not be mended by a
// rewrite: the receiver would take the damage for what was sent.
func TestCorruptPacketStaysCorrupt(t *testing.T) {
	needRewriting(t)
	edits := map[string]func(p *nfqueue.Packet, headers int) []byte{
		"in place": func(p *nfqueue.Packet, headers int) []byte {
			copy(p.Payload[headers:], bytes.ToUpper(p.Payload[headers:]))
			return p.Payload
		},
		"in a copy": func(p *nfqueue.Packet, headers int) []byte {
			return append(slices.Clone(p.Payload[:headers]), bytes.ToUpper(p.Payload[headers:])...)
		},
	}
	eachVersion(t, func(t *testing.T, v ipVersion) {
		for _, hook := range []lab.Hook{lab.Prerouting, lab.Input} {
			for name, edit := range edits {
				t.Run(fmt.Sprintf("%v, edited %s", hook, name), func(t *testing.T) { passCorrupt(t, v, hook, edit) })
			}
		}
	})
}

func passCorrupt(t *testing.T, v ipVersion, hook lab.Hook, edit func(p *nfqueue.Packet, headers int) []byte) {
	a, b, addrA, addrB := wire(t, v)
	var told collector
	q := openQueue(t, b, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: told.add})
	addRule(t, b, v.family, hook, lab.UDP(9999), lab.Queue(0))
	pc, err := b.ListenPacket("udp", netip.AddrPortFrom(addrB, 9999).String())
	must(t, err)
	defer pc.Close()
	unverified := make(chan bool, 2)
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		unverified <- p.ChecksumUnverified
		return nfqueue.Accept().WithPayload(edit(p, v.headers))
	})

	corrupt := udpPacket(t, addrA, addrB, "corrupt")
	corrupt[len(corrupt)-1] ^= 1
	inject(t, a, addrB, corrupt, udpPacket(t, addrA, addrB, "sound"))
	wantReceived(t, pc, "SOUND")
	for range 2 {
		if !<-unverified {
			t.Error("the kernel has verified the packets, so they show nothing")
		}
	}
	told.wantOnly(t, nfqueue.ErrCorrupt)
	if n := checksumErrors(t, b, v); n != 1 {
		t.Errorf("%d wrong checksums at the receiver, want 1", n)
	}
}
