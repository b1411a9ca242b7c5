//go:build linux

package checksum

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/internal/ipheader"
	xicmp "golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// xnetChecksum returns the Internet checksum of b as x/net computes it: that of
// an ICMP message in which there are zeros and b.
func xnetChecksum(t *testing.T, b []byte) uint16 {
	t.Helper()
	m := xicmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &xicmp.RawBody{Data: b}}
	message, err := m.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if message[0] != 0 || message[1] != 0 || !bytes.Equal(message[4:], b) {
		t.Fatalf("not zeros and the data: % x", message)
	}
	return binary.BigEndian.Uint16(message[2:])
}

func TestFinishAgreesWithXNetOnICMP(t *testing.T) {
	src, dst := net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::2")
	for _, n := range networks(t) {
		for size := range 65 {
			data := bytes.Repeat([]byte{0xa5, 0xff, 0x01}, 22)[:size]
			messages := []xicmp.Message{
				{Type: ipv4.ICMPTypeEcho, Body: &xicmp.Echo{ID: 0xfffe, Seq: size, Data: data}},
				{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 4, Body: &xicmp.DstUnreach{Data: data}},
			}
			proto, pseudo := uint8(ipheader.ICMP), []byte(nil)
			if n.bytes[0]>>4 == 6 {
				messages = []xicmp.Message{
					{Type: ipv6.ICMPTypeEchoRequest, Body: &xicmp.Echo{ID: 0xfffe, Seq: size, Data: data}},
					{Type: ipv6.ICMPTypePacketTooBig, Body: &xicmp.PacketTooBig{MTU: 1280, Data: data}},
				}
				proto, pseudo = ipheader.ICMPv6, xicmp.IPv6PseudoHeader(src, dst)
			}
			for _, m := range messages {
				want, err := m.Marshal(slices.Clone(pseudo))
				if err != nil {
					t.Fatal(err)
				}
				b := append(bytes.Clone(n.bytes), want...)
				b[n.proto] = proto
				copy(b[len(n.bytes)+2:], "\xab\xcd")
				if err := Finish(b); err != nil {
					t.Fatal(err)
				}
				if got := b[len(n.bytes):]; !bytes.Equal(got, want) {
					t.Errorf("%s, %v: got % x, want % x", n.name, m.Type, got, want)
				}
			}
		}
	}
}

// On Linux only: ipv4.ParseHeader reads lengths as the system's raw sockets have
// them.
func TestXNetReadsTheHeadersThatFinishSets(t *testing.T) {
	for _, tt := range slices.Concat(linuxPackets, rarePackets) {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.packet)
			for _, i := range tt.set {
				b[i], b[i+1] = 0xab, 0xcd
			}
			if err := Finish(b); err != nil {
				t.Fatal(err)
			}
			if b[0]>>4 == 6 {
				h, err := ipv6.ParseHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				if h.PayloadLen != len(b)-ipv6.HeaderLen || h.NextHeader != int(b[6]) {
					t.Errorf("%d bytes: %v", len(b), h)
				}
				return
			}
			h, err := ipv4.ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			if h.TotalLen != len(b) {
				t.Errorf("%d bytes: %v", len(b), h)
			}
			zeroed := bytes.Clone(b[:h.Len])
			zeroed[10], zeroed[11] = 0, 0
			if want := xnetChecksum(t, zeroed); h.Checksum != int(want) {
				t.Errorf("header checksum %#04x, want %#04x", h.Checksum, want)
			}
		})
	}
}

func TestFinishAgreesWithXNetOnTransports(t *testing.T) {
	for _, n := range networks(t) {
		for proto, p := range map[uint8]*transport{ipheader.TCP: &tcp, ipheader.UDP: &udp, ipheader.UDPLite: &udpLite} {
			for size := p.header; size < p.header+65; size++ {
				seg := bytes.Repeat([]byte{0x5a, 0xff, 0x81}, 30)[:size]
				covered := size
				if p == &udpLite {
					covered = p.header + (size-p.header)/2
					binary.BigEndian.PutUint16(seg[4:], uint16(covered))
				}
				b := append(bytes.Clone(n.bytes), seg...)
				b[n.proto] = proto
				if err := Finish(b); err != nil {
					t.Fatal(err)
				}
				got := b[len(n.bytes):][:covered]
				check := binary.BigEndian.Uint16(got[p.field:])
				got[p.field], got[p.field+1] = 0, 0
				if want := xnetChecksum(t, append(n.pseudo(size, proto), got...)); check != want {
					t.Errorf("%s, %s of %d bytes: got %#04x, want %#04x", n.name, p.name, size, check, want)
				}
			}
		}
	}
}
