//go:build linux

package rewrite

import (
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// maxWhole is the longest packet that fits a netlink attribute.
const maxWhole = 65531

func TestLargestPacketsAreDeliveredWhole(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
		lengths := make(chan int, 1)
		endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			lengths <- len(p.Payload)
			endtoend.AddToEach(p.Payload[v.Headers:], 1)
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		for length := maxWhole - 4; length <= maxWhole; length++ {
			body := slices.Clone(endtoend.RandomBytes(length - v.Headers))
			endtoend.Send(t, l.From, string(body))
			endtoend.AddToEach(body, 1)
			endtoend.WantReceived(t, l.To, string(body))
			if n := testkit.Next(t, lengths); n != length {
				t.Errorf("a packet of %d bytes came with %d", length, n)
			}
		}
	})
}

// A packet that was cut passes whole if it is accepted. A rewrite, finished or
// raw, would lose what was not delivered.
func TestCutPacketPassesButIsNotRewritten(t *testing.T) {
	for _, c := range []struct {
		name      string
		cfg       nfqueue.Config
		length    int
		delivered int
	}{
		{"CopyRange 64", nfqueue.Config{CopyRange: 64}, 1000, 64},
		{"CopyRange one below", nfqueue.Config{CopyRange: 999}, 1000, 999},
		{"longer than an attribute", nfqueue.Config{}, 65535, maxWhole},
		{"MetadataOnly", nfqueue.Config{MetadataOnly: true}, 1000, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reported testkit.Errors
			c.cfg.OnError, c.cfg.Fallback = reported.Add, nfqueue.Accept()
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, c.cfg)
			verdicts := []func([]byte) nfqueue.Verdict{
				func([]byte) nfqueue.Verdict { return nfqueue.Accept() },
				nfqueue.Drop().WithPayload,
				nfqueue.Drop().WithRawPayload,
			}
			packets := make(chan *nfqueue.Packet, len(verdicts))
			i := 0
			endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
				packets <- p.Clone()
				i++
				return verdicts[i-1]([]byte("something else"))
			})
			body := string(endtoend.RandomBytes(c.length - endtoend.IPv4.Headers))
			for range verdicts {
				endtoend.Send(t, l.From, body)
				endtoend.WantReceived(t, l.To, body)
				p := testkit.Next(t, packets)
				if len(p.Payload) != c.delivered {
					t.Errorf("%d bytes delivered, want %d", len(p.Payload), c.delivered)
				}
				if cut := p.Truncated(); cut != (c.delivered > 0) || cut && p.Len != c.length {
					t.Errorf("Truncated %v, Len %d, of %d bytes", cut, p.Len, c.length)
				}
			}
			reported.WantOnly(t, nfqueue.ErrTruncated)
			if s := l.Queue.Stats(); s.Fallbacks != 2 {
				t.Errorf("%d fallbacks, want 2", s.Fallbacks)
			}
		})
	}
}

// On the loopback device TCP sends packets that no CopyRange holds: of old
// kernels only after a change of the MTU, for a connection's first packets are
// held to half the window that it began with (tcp_bound_to_half_wnd).
func TestTCPOnLoopbackSurvivesRefusedRewrites(t *testing.T) {
	endtoend.NeedRewriting(t)
	n := endtoend.NewNet(t)
	var reported testkit.Errors
	q := endtoend.OpenQueue(t, n, nfqueue.Config{OnError: reported.Add, Fallback: nfqueue.Accept()})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
	stop := endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithPayload(p.Payload)
	})
	testkit.Must(t, n.Sysctl("net/ipv4/tcp_rmem", "4096 4194304 4194304")) // for a large window
	client, server := endtoend.TCPPair(t, n, n, endtoend.IPv4.Address())
	for mtu := 65536; mtu > 65530 && reported.Count(nfqueue.ErrTruncated) == 0; mtu-- {
		testkit.Must(t, n.SetMTU("lo", mtu))
		endtoend.WantStream(t, client, server, endtoend.RandomBytes(2<<20), 0)
	}
	stop()
	reported.WantOnly(t, nfqueue.ErrTruncated)
}
