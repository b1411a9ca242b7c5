//go:build linux

package rewrite

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// lostAfter is when a packet counts as lost.
const lostAfter = 5 * time.Second

// sendDatagram sends a message in one write, and receives it in as many datagrams
// as it takes.
func sendDatagram(pc net.PacketConn, c net.Conn) sender {
	return func(t *testing.T, message string) func(int) []byte {
		endtoend.Send(t, c, message)
		return func(n int) []byte { return gather(t, pc, n) }
	}
}

// gather returns datagrams of n bytes together, or what there is of them.
func gather(t *testing.T, pc net.PacketConn, n int) (got []byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	testkit.Must(t, pc.SetReadDeadline(time.Now().Add(lostAfter)))
	for len(got) < n {
		m, _, err := pc.ReadFrom(b)
		if err != nil {
			t.Error(err)
			return got
		}
		got = append(got, b[:m]...)
	}
	return got
}

// sendStream sends a message over a connection of its own, which ends at once with
// the test: what is sent again must not be taken for another test's.
func sendStream(a, b *lab.Net, address string) sender {
	return func(t *testing.T, message string) func(int) []byte {
		client, server := endtoend.TCPPair(t, a, b, address)
		t.Cleanup(func() { testkit.Must(t, client.(*net.TCPConn).SetLinger(0)) })
		endtoend.Send(t, client, message)
		return func(n int) []byte {
			got := make([]byte, n)
			testkit.Must(t, server.SetReadDeadline(time.Now().Add(lostAfter)))
			n, err := io.ReadFull(server, got)
			if err != nil {
				t.Error(err)
			}
			return got[:n]
		}
	}
}

// endingEarly builds a road for packets with bytes behind a UDP datagram.
func endingEarly(t *testing.T) places {
	r := endtoend.NewRouted(t)
	a, b := hosts(endtoend.IPv4)
	pc, err := r.B.ListenPacket("udp", r.Address(endtoend.IPv4))
	testkit.Must(t, err)
	t.Cleanup(func() { pc.Close() })
	return placesOn(r, endtoend.IPv4, []lab.Term{lab.UDP(9999)}, func(t *testing.T, message string) func(int) []byte {
		packet := append(endtoend.UDPPacket(t, a, b, message), " and hidden bytes"...)
		packet[26], packet[27] = 0, 0       // no checksum
		endtoend.SendRaw(t, r.A, b, packet) // which sets the total length
		return func(n int) []byte { return gather(t, pc, n) }
	})
}

// rawRoad builds a road for messages of a protocol without ports, or without a
// socket here.
func rawRoad(v endtoend.IPVersion, protocol byte) func(*testing.T) places {
	header := "\x08\x00\x00\x00\x12\x34\x00\x01" // an echo request
	network := map[byte]string{unix.IPPROTO_ICMP: "ip4:icmp", unix.IPPROTO_ICMPV6: "ip6:ipv6-icmp", unix.IPPROTO_SCTP: "ip4:132"}[protocol]
	switch protocol {
	case unix.IPPROTO_ICMPV6:
		header = "\x80" + header[1:]
	case unix.IPPROTO_SCTP:
		header = "\x12\x34\x27\x0f" + strings.Repeat("\x00", 8) // ports, tag, checksum
	}
	return func(t *testing.T) places {
		r := endtoend.NewRouted(t)
		a, b := hosts(v)
		pc, err := r.B.ListenPacket(network, b.String())
		testkit.Must(t, err)
		t.Cleanup(func() { pc.Close() })
		c, err := r.A.Dial(network, b.String())
		testkit.Must(t, err)
		t.Cleanup(func() { c.Close() })
		return placesOn(r, v, []lab.Term{lab.L4(protocol)}, func(t *testing.T, message string) func(int) []byte {
			packet := withHeader(t, a, b, protocol, header+message)
			endtoend.Send(t, c, string(packet[len(packet)-len(header+message):]))
			return func(n int) []byte { return gatherRaw(t, pc, header[:1], len(header)) }
		})
	}
}

// withHeader returns a finished packet.
func withHeader(t *testing.T, src, dst netip.Addr, protocol byte, rest string) []byte {
	t.Helper()
	b := endtoend.UDPPacket(t, src, dst, "")
	if src.Is4() {
		b[9] = protocol
	} else {
		b[6] = protocol
	}
	b = append(b[:len(b)-8], rest...)
	testkit.Must(t, nfqueue.Finish(b))
	return b
}

// gatherRaw returns the data of the next message that begins so.
func gatherRaw(t *testing.T, pc net.PacketConn, begin string, header int) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	testkit.Must(t, pc.SetReadDeadline(time.Now().Add(lostAfter)))
	for {
		n, _, err := pc.ReadFrom(b)
		if err != nil {
			t.Error(err)
			return nil
		}
		if n >= header && strings.HasPrefix(string(b[:n]), begin) {
			return b[header:n]
		}
	}
}
