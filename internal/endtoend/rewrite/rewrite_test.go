//go:build linux

package rewrite

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A datagram may become longer or shorter, to any residue of the length by
// four, which netlink pads to.
func TestRewrittenDatagramArrives(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
		bodies := make(chan string, 1)
		endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			// Nothing but the contents: lengths and checksums are the library's.
			return nfqueue.Accept().WithPayload(append(p.Payload[:v.Headers], <-bodies...))
		})
		for _, from := range []int{0, 1, 2, 3, 17, 1400} {
			for _, to := range []int{0, 1, 2, 3, 4, 17, 18, 19, 20, 1401, 1402, 1403, 9000} {
				bodies <- endtoend.Letters(to)
				endtoend.Send(t, l.From, strings.Repeat("-", from))
				endtoend.WantReceived(t, l.To, endtoend.Letters(to))
			}
		}
		if n := checksumErrors(t, l.Net, v); n != 0 {
			t.Errorf("%d wrong checksums", n)
		}
	})
}

// The payload may be edited in place; the kernel's packet changes with the
// verdict alone.
func TestPacketEditedInPlaceChangesOnlyWithTheVerdict(t *testing.T) {
	endtoend.NeedRewriting(t)
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		body := p.Payload[endtoend.IPv4.Headers:]
		rewrite := string(body) == "rewrite"
		copy(body, bytes.ToUpper(body))
		if rewrite {
			return nfqueue.Accept().WithPayload(p.Payload)
		}
		return nfqueue.Accept()
	})
	endtoend.Send(t, l.From, "keep it", "rewrite", "keep it")
	endtoend.WantReceived(t, l.To, "keep it", "REWRITE", "keep it")
}

func TestRewriteThroughATicketArrives(t *testing.T) {
	endtoend.NeedRewriting(t)
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	packets := make(chan *nfqueue.Packet, 1)
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		packets <- p.Clone()
		return nfqueue.Hold()
	})
	endtoend.Send(t, l.From, "before")
	p := testkit.Next(t, packets)
	testkit.Must(t, p.Ticket().SetVerdict(nfqueue.Accept().WithPayload(append(p.Payload[:endtoend.IPv4.Headers], "some time after"...))))
	endtoend.WantReceived(t, l.To, "some time after")
}

// What WithRawPayload sends nobody mends: a packet with a wrong checksum is
// dropped by its receiver, and one with a right checksum is not.
func TestRawPayloadIsSentAsItIs(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
		endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			b := slices.Clone(p.Payload)
			finish := string(b[v.Headers:]) != "wrong"
			b = append(b, '!')
			if err := nfqueue.Finish(b); err != nil {
				t.Error(err)
			}
			if !finish {
				b[len(b)-1]++
			}
			return nfqueue.Accept().WithRawPayload(b)
		})
		endtoend.Send(t, l.From, "wrong", "right")
		endtoend.WantReceived(t, l.To, "right!")
		if n := checksumErrors(t, l.Net, v); n != 1 {
			t.Errorf("%d wrong checksums, want 1", n)
		}
	})
}

// A payload that cannot be a packet is refused before the kernel silently
// drops it, and the fallback stands in.
func TestUnusablePayloadGetsTheFallback(t *testing.T) {
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{OnError: reported.Add, Fallback: nfqueue.Accept(), Segment: true})
	payloads := [][]byte{nil, make([]byte, 1<<16), {0x45, 0}, make([]byte, 100)}
	i := 0
	endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
		i++
		return nfqueue.Drop().WithPayload(payloads[i-1])
	})
	for range payloads {
		endtoend.Send(t, l.From, "untouched")
		endtoend.WantReceived(t, l.To, "untouched")
	}
	if s := l.Queue.Stats(); s.Refused != 4 || s.Fallbacks != 4 {
		t.Errorf("refused %d, fallbacks %d, want 4 of each", s.Refused, s.Fallbacks)
	}
	for target, want := range map[error]int{nfqueue.ErrPayload: 2, nfqueue.ErrBadHeader: 1, nfqueue.ErrNotIP: 1} {
		if n := reported.Count(target); n != want {
			t.Errorf("%d errors %v, want %d", n, target, want)
		}
	}
}

func TestRewrittenEchoIsAnswered(t *testing.T) {
	endtoend.NeedRewriting(t)
	for _, c := range []struct {
		v              endtoend.IPVersion
		network        string
		protocol       byte
		header         int // length of the IP header
		request, reply byte
	}{
		{endtoend.IPv4, "ip4:icmp", unix.IPPROTO_ICMP, 20, 8, 0},
		{endtoend.IPv6, "ip6:ipv6-icmp", unix.IPPROTO_ICMPV6, 40, 128, 129},
	} {
		t.Run(c.v.Name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			q := endtoend.OpenQueue(t, n, nfqueue.Config{})
			endtoend.AddRule(t, n, c.v.Family, lab.Output, lab.L4(c.protocol), lab.Queue(0))
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.Payload[c.header] != c.request {
					return nfqueue.Accept()
				}
				return nfqueue.Accept().WithPayload(append(p.Payload[:c.header+8], "quite another question"...))
			})
			conn, err := n.Dial(c.network, c.v.Host)
			testkit.Must(t, err)
			defer conn.Close()
			// Identifier 1, sequence 1; the checksum is set with the rewrite.
			endtoend.Send(t, conn, string([]byte{c.request, 0, 0, 0, 0, 1, 0, 1})+"ping")
			if got, want := readReply(t, conn.(net.PacketConn), c.reply), "quite another question"; got != want {
				t.Errorf("reply to %q, want %q", got, want)
			}
		})
	}
}

// readReply returns the data of the next ICMP message of a type.
func readReply(t *testing.T, conn net.PacketConn, typ byte) string {
	t.Helper()
	testkit.Must(t, conn.SetReadDeadline(time.Now().Add(testkit.Patience)))
	b := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(b)
		testkit.Must(t, err)
		if n >= 8 && b[0] == typ {
			return string(b[8:n])
		}
	}
}

// checksumErrors returns how many UDP datagrams the namespace has refused for
// their checksum.
func checksumErrors(t testing.TB, n *lab.Net, v endtoend.IPVersion) int {
	t.Helper()
	if v.Family == lab.IPv6 {
		return snmp6(t, n, "Udp6InCsumErrors")
	}
	return snmp(t, n, "Udp:", "InCsumErrors")
}

// snmp returns a counter of /proc/net/snmp, where a line of names comes before
// the line of values.
func snmp(t testing.TB, n *lab.Net, protocol, name string) int {
	t.Helper()
	b, err := endtoend.ProcNet(n, "snmp")
	testkit.Must(t, err)
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		switch i := slices.Index(names, name); {
		case fields[0] != protocol:
		case names == nil:
			names = fields
		case i >= 0:
			return atoi(t, fields[i])
		}
	}
	t.Fatalf("no %s %s in /proc/net/snmp", protocol, name)
	return 0
}

// snmp6 returns a counter of /proc/net/snmp6, of which each has a line.
func snmp6(t testing.TB, n *lab.Net, name string) int {
	t.Helper()
	b, err := endtoend.ProcNet(n, "snmp6")
	testkit.Must(t, err)
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); fields[0] == name {
			return atoi(t, fields[1])
		}
	}
	t.Fatalf("no %s in /proc/net/snmp6", name)
	return 0
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	testkit.Must(t, err)
	return n
}
