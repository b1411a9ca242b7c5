//go:build linux

package rewrite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// Every kind of datagram is received with another body. That its receiver would
// have noticed a wrong checksum is shown by one that it does not receive.
func TestRewrittenDatagramOfEveryKindArrives(t *testing.T) {
	endtoend.NeedRewriting(t)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			if k.setup != nil {
				k.setup(t, n)
			}
			q := endtoend.OpenQueue(t, n, nfqueue.Config{})
			to, from := k.pair(t, n)
			if to == nil {
				return
			}
			protocol := lab.L4(unix.IPPROTO_UDP)
			if k.covered > 0 {
				protocol = lab.L4(unix.IPPROTO_UDPLITE)
			}
			endtoend.AddRule(t, n, k.v.Family, lab.Output, protocol, lab.DstPort(9999), lab.Queue(0))
			k.exchange(t, n, q, to, from)
		})
	}
}

// Fragments have their transport checksum left alone: it is right if the rewrite
// of all of them keeps the sum, as swapping 16-bit words does.
func TestRewrittenFragmentsAreReassembled(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, _, addrB := endtoend.NetPair(t, v)
		q := endtoend.OpenQueue(t, b, nfqueue.Config{})
		rule := endtoend.AddRule(t, b, v.Family, lab.Prerouting, lab.L4(unix.IPPROTO_UDP), lab.Queue(0))
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			header, offset := 20, binary.BigEndian.Uint16(p.Payload[6:])&0x1fff
			if v.Family == lab.IPv6 {
				header, offset = 40+8, binary.BigEndian.Uint16(p.Payload[42:])&0xfff8
			}
			body := p.Payload[header:]
			if offset == 0 {
				body = body[8:] // the UDP header
			}
			spoil := bytes.Contains(body, []byte("spoil"))
			for w := range slices.Chunk(body, 4) {
				w[0], w[1], w[2], w[3] = w[2], w[3], w[0], w[1]
			}
			if spoil { // what WithPayload refuses, the receiver drops
				body[0] ^= 1
				refused := nfqueue.Accept().WithPayload(p.Payload)
				if _, err := refused.Append(nil, p); !errors.Is(err, nfqueue.ErrFragment) {
					t.Errorf("changed data: got %v", err)
				}
				return nfqueue.Accept().WithRawPayload(p.Payload)
			}
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		address := netip.AddrPortFrom(addrB, 9999).String()
		to, err := b.ListenPacket("udp", address)
		testkit.Must(t, err)
		defer to.Close()
		from, err := a.Dial("udp", address)
		testkit.Must(t, err)
		defer from.Close()

		endtoend.Send(t, from, strings.Repeat("spoil...", 500), strings.Repeat("cdab", 1000))
		endtoend.WantReceived(t, to, strings.Repeat("abcd", 1000))
		endtoend.WantPackets(t, rule, 2*3)
		if n := checksumErrors(t, b, v); n != 1 {
			t.Errorf("%d wrong checksums, want 1", n)
		}
		if s := q.Stats(); s.Refused != 0 {
			t.Errorf("%d verdicts refused", s.Refused)
		}
	})
}
