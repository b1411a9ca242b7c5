//go:build linux

package queue

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A stream is what packets have in common: the other end's number, and a protocol.
type stream struct{ end, protocol uint8 }

// A rule that balances chooses the queue by the addresses, whichever is the
// sender's, and with IPv4 by the protocol too; ports make no difference.
func TestBalanceKeepsTwoAddressesTogether(t *testing.T) {
	const queues, ends, each = 4, 32, 3
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		testkit.Must(t, n.AddAddr("lo", netip.MustParsePrefix("2001:db8::1/64"))) // and all of that network
		var mu sync.Mutex
		chosen := map[stream][]uint16{}
		done := make(chan struct{}, ends*2*each)
		qs := endtoend.OpenRange(t, n, nfqueue.Config{Queue: 10}, queues)
		ran := testkit.Background(func() error {
			return qs.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
				f, _ := nfnl.ParseFlow(p.Payload)
				s := stream{max(number8(f.Src.Addr()), number8(f.Dst.Addr())), f.Protocol}
				mu.Lock()
				chosen[s] = append(chosen[s], p.Queue)
				mu.Unlock()
				done <- struct{}{}
				return nfqueue.Drop()
			})
		})
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.Queues(10, queues))
		for end := range uint8(ends) {
			for _, protocol := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_SCTP} {
				sendBothWays(t, n, v, stream{end + 2, protocol}, each)
			}
		}
		for range ends * 2 * each {
			testkit.Next(t, done)
		}
		testkit.Must(t, qs.Close())
		testkit.Next(t, ran)
		// That all 32 agree by chance happens once in 4^32 times.
		if together := wantTogether(t, chosen); (together < ends) != (v == endtoend.IPv4) {
			t.Errorf("the protocols of %d pairs of addresses share a queue, of %d", together, ends)
		}
	})
}

// number8 returns the last byte of an address.
func number8(a netip.Addr) uint8 { return a.AsSlice()[len(a.AsSlice())-1] }

// sendBothWays sends packets of a stream by turns from address 1 and to it, each
// from another port.
func sendBothWays(t *testing.T, n *lab.Net, v endtoend.IPVersion, s stream, packets int) {
	t.Helper()
	src, dst := netip.MustParseAddr("127.0.0.1"), netip.AddrFrom4([4]byte{127, 0, 0, s.end})
	if v == endtoend.IPv6 {
		src = netip.MustParseAddr("2001:db8::1")
		b := src.As16()
		b[15] = s.end
		dst = netip.AddrFrom16(b)
	}
	for i := range packets {
		packet := endtoend.UDPPacket(t, src, dst, "x")
		packet[v.Headers-8+1] = byte(i)
		if v == endtoend.IPv4 {
			setWord(packet, 8, uint16(packet[8])<<8|uint16(s.protocol))
		} else {
			packet[6] = s.protocol
		}
		endtoend.SendRaw(t, n, dst, packet)
		src, dst = dst, src
	}
}

// wantTogether fails the test unless each stream has one queue. It returns how
// many ends have the same queue for both protocols.
func wantTogether(t *testing.T, chosen map[stream][]uint16) (together int) {
	t.Helper()
	for s, queues := range chosen {
		for _, q := range queues {
			if q != queues[0] {
				t.Errorf("packets of %+v are in queues %d", s, queues)
			}
		}
		if s.protocol == unix.IPPROTO_UDP && chosen[stream{s.end, unix.IPPROTO_SCTP}][0] == queues[0] {
			together++
		}
	}
	return together
}
