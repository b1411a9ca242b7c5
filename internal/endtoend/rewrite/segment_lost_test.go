//go:build linux

package rewrite

import (
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// Where a tunnel of IP in IP ends, the kernel cannot cut what comes for Segment at
// prerouting and input: it loses all segments, also those that are accepted as
// they are. Without Segment they arrive.
func TestSegmentLosesWhatATunnelOfIPBrings(t *testing.T) {
	needSegments(t)
	for name, tunnel := range map[string]tunnel{"IPIP": ipip(endtoend.IPv4), "IPv4 in IPv6": ipip(endtoend.IPv6), "GRE in IPv6": gre6} {
		t.Run(name, func(t *testing.T) {
			at := tunnel.around(insideUDPGSO)(t)
			for _, h := range []lab.Hook{lab.Prerouting, lab.Input} {
				t.Run(h.String(), func(t *testing.T) {
					t.Run("Segment", func(t *testing.T) { passLarge(t, at(h), h, true) })
					t.Run("without", func(t *testing.T) { passLarge(t, at(h), h, false) })
				})
			}
		})
	}
}

// passLarge sends a packet that is to be cut past a queue, and one that is not.
func passLarge(t *testing.T, p place, h lab.Hook, lost bool) {
	q := endtoend.OpenQueue(t, p.net, nfqueue.Config{Segment: lost})
	endtoend.AddRules(t, p.net, p.family, h, 0, append(p.match, lab.Queue(0)))
	t.Cleanup(func() { testkit.Must(t, p.net.Flush()) })
	endtoend.RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
	large := p.send(t, long[:2*endtoend.GSOSize])
	if lost {
		large = p.send(t, "a packet that is not cut")
		if got := large(1); string(got) != "a packet that is not cut" {
			t.Errorf("with Segment: %q", got)
		}
	} else if got := large(2 * endtoend.GSOSize); string(got) != long[:2*endtoend.GSOSize] {
		t.Errorf("without Segment: %.20q", got)
	}
	if s := q.Stats(); s.Packets == 0 || s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
}

// With Segment on a bridge the kernel forgets the Ethernet header of a frame with a
// VLAN tag that it cuts. That is reported, and a frame that it does not cut passes.
func TestSegmentOnABridgeLosesFramesWithAVLANTag(t *testing.T) {
	needSegments(t)
	for _, segment := range []bool{false, true} {
		at := bridge(unix.ETH_P_8021Q)(t)
		p := at(lab.Forward)
		var reported testkit.Errors
		q := endtoend.OpenQueue(t, p.net, nfqueue.Config{Segment: segment, OnError: reported.Add, Fallback: nfqueue.Accept()})
		c, err := p.net.Chain(lab.Bridge, lab.Forward, 10)
		testkit.Must(t, err)
		_, err = c.Add(lab.Queue(0))
		endtoend.SkipUnsupported(t, err)
		var headless atomic.Int64
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			if len(p.LinkHeader) == 0 {
				headless.Add(1)
			}
			return nfqueue.Accept()
		})
		receive := p.send(t, short)
		if got := receive(len(short)); string(got) != short {
			t.Errorf("Segment %v: %.20q", segment, got)
		}
		if !segment {
			continue
		}
		p.sendLarge(t)
		testkit.Await(t, "for the segments", func() bool { return headless.Load() > 0 })
		testkit.Await(t, "for the report", func() bool { return reported.Count(nfqueue.ErrNoLinkHeader) > 0 })
	}
}

// With Segment on a bridge the kernel cannot cut a frame with two VLAN tags, and
// loses it: no handler and no counter sees it. Frames that it need not cut pass.
func TestSegmentOnABridgeLosesFramesWithTwoVLANTags(t *testing.T) {
	needSegments(t)
	for _, segment := range []bool{false, true} {
		p := bridge(unix.ETH_P_8021AD, unix.ETH_P_8021Q)(t)(lab.Forward)
		q := endtoend.OpenQueue(t, p.net, nfqueue.Config{Segment: segment})
		c, err := p.net.Chain(lab.Bridge, lab.Forward, 10)
		testkit.Must(t, err)
		_, err = c.Add(lab.Queue(0))
		endtoend.SkipUnsupported(t, err)
		var messages atomic.Int64
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			if hasMessage(p) {
				messages.Add(1)
			}
			return nfqueue.Accept()
		})
		p.sendLarge(t)
		want, seen := long[:2*endtoend.GSOSize]+short, int64(2)
		if segment {
			want, seen = short, 1
		}
		receive := p.send(t, short)
		if got := receive(len(want)); string(got) != want {
			t.Errorf("Segment %v: received %d bytes, want %d", segment, len(got), len(want))
		}
		if n := messages.Load(); n != seen {
			t.Errorf("Segment %v: the handler got %d messages, want %d", segment, n, seen)
		}
		if s := q.Stats(); s.Refused+s.Gone+s.Lost != 0 {
			t.Errorf("Segment %v: stats %+v", segment, s)
		}
	}
}
