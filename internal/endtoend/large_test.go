//go:build linux

package endtoend

import (
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// maxWhole is the longest packet that fits a netlink attribute.
const maxWhole = 65531

func TestLargestPacketsAreDeliveredWhole(t *testing.T) {
	needRewriting(t)
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLane(t, v, lab.Output, nfqueue.Config{})
		lengths := make(chan int, 1)
		runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			lengths <- len(p.Payload)
			addTo(p.Payload[v.headers:], 1)
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		for length := maxWhole - 4; length <= maxWhole; length++ {
			body := slices.Clone(randomBytes(length - v.headers))
			send(t, l.from, string(body))
			addTo(body, 1)
			wantReceived(t, l.to, string(body))
			if n := next(t, lengths); n != length {
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
			var told collector
			c.cfg.OnError, c.cfg.Fallback = told.add, nfqueue.Accept()
			l := newLane(t, ipv4, lab.Output, c.cfg)
			verdicts := []func([]byte) nfqueue.Verdict{
				func([]byte) nfqueue.Verdict { return nfqueue.Accept() },
				nfqueue.Drop().WithPayload,
				nfqueue.Drop().WithRawPayload,
			}
			packets := make(chan *nfqueue.Packet, len(verdicts))
			i := 0
			runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
				packets <- p.Clone()
				i++
				return verdicts[i-1]([]byte("something else"))
			})
			body := string(randomBytes(c.length - ipv4.headers))
			for range verdicts {
				send(t, l.from, body)
				wantReceived(t, l.to, body)
				p := next(t, packets)
				if len(p.Payload) != c.delivered {
					t.Errorf("%d bytes delivered, want %d", len(p.Payload), c.delivered)
				}
				if cut := p.Truncated(); cut != (c.delivered > 0) || cut && p.Len != c.length {
					t.Errorf("Truncated %v, Len %d, of %d bytes", cut, p.Len, c.length)
				}
			}
			told.wantOnly(t, nfqueue.ErrTruncated)
			if s := l.queue.Stats(); s.Fallbacks != 2 {
				t.Errorf("%d fallbacks, want 2", s.Fallbacks)
			}
		})
	}
}

// On the loopback device TCP sends packets that no CopyRange holds: of old
// kernels only after a change of the MTU, for a connection's first packets are
// held to half the window that it began with (tcp_bound_to_half_wnd).
func TestTCPOnLoopbackSurvivesRefusedRewrites(t *testing.T) {
	needRewriting(t)
	n := newNet(t)
	var told collector
	q := openQueue(t, n, nfqueue.Config{OnError: told.add, Fallback: nfqueue.Accept()})
	addRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
	stop := runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithPayload(p.Payload)
	})
	must(t, n.Sysctl("net/ipv4/tcp_rmem", "4096 4194304 4194304")) // for a large window
	client, server := tcpPair(t, n, n, ipv4.address())
	for mtu := 65536; mtu > 65530 && told.count(nfqueue.ErrTruncated) == 0; mtu-- {
		must(t, n.SetMTU("lo", mtu))
		wantStream(t, client, server, randomBytes(2<<20), 0)
	}
	stop()
	told.wantOnly(t, nfqueue.ErrTruncated)
}

// A packet that is longer than the kernel's buffer for a group gets one of its
// own, which the allocator rounds up: others fit behind it, into a datagram
// that is far longer than either.
func TestLogOfPacketsBehindALargeOne(t *testing.T) {
	sizes := []int{65507, 60000, 10}
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: uint32(len(sizes)), FlushTimeout: time.Minute})
	for _, n := range sizes {
		send(t, l.from, string(make([]byte, n)))
	}
	for i, p := range logged(t, l.reader, len(sizes)) {
		if want := min(sizes[i]+ipv4.headers, 65531); len(p.Payload) != want {
			t.Errorf("packet %d has %d bytes, want %d", i, len(p.Payload), want)
		}
	}
	if s := l.reader.Stats(); s.Malformed != 0 || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}
