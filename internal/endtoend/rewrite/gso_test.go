//go:build linux

package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// Rewritten or not, TCP arrives intact wherever it was queued. Where nothing can
// be rewritten, it arrives as it was.
func TestTCPPassesEveryHookAsGSO(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		r := endtoend.NewRouted(t)
		for _, hook := range []lab.Hook{lab.Output, lab.Postrouting, lab.Forward, lab.Prerouting, lab.Input} {
			for _, segmented := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, Segment %v", hook, segmented), func(t *testing.T) {
					n := r.At(hook)
					q := endtoend.OpenQueue(t, n, nfqueue.Config{Segment: segmented, Fallback: nfqueue.Accept()})
					endtoend.AddRule(t, n, v.Family, hook, lab.TCP(9999), lab.Queue(0))
					t.Cleanup(func() { testkit.Must(t, n.Flush()) })
					passTCP(t, r, v, q, segmented)
				})
			}
		}
	})
}

// passTCP sends a stream past q as it is, and one that is rewritten.
func passTCP(t *testing.T, r *endtoend.Routed, v endtoend.IPVersion, q *nfqueue.Queue, segmented bool) {
	t.Helper()
	rewritable := !endtoend.ForbidsRewrites(t)
	var gso atomic.Int64
	rewrite := addOne(&gso)
	for add, handler := range []nfqueue.Handler{
		func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() },
		rewrite,
	} {
		stop := endtoend.RunQueue(t, q, handler)
		client, server := endtoend.TCPPair(t, r.A, r.B, r.Address(v))
		if !rewritable {
			add = 0
		}
		endtoend.WantStream(t, client, server, endtoend.RandomBytes(512<<10), byte(add))
		// What follows the data, the end, is not for the next handler.
		client.Close()
		server.Close()
		stop()
	}
	if n := gso.Load(); n == 0 != segmented {
		t.Errorf("%d GSO packets rewritten, Segment %v", n, segmented)
	}
	if s := q.Stats(); s.Refused > 0 == rewritable {
		t.Errorf("%d verdicts refused", s.Refused)
	}
}

// A rewrite says how a test's handler changes UDP data.
type rewrite struct {
	name string
	add  byte // to every byte
	more int  // bytes at the end
}

var (
	unchanged  = rewrite{"unchanged", 0, 0}
	sameLength = rewrite{"same length", 1, 0}
	longer     = rewrite{"longer", 1, 3}
)

// handler returns a handler that rewrites; it notes GSO packets.
func (w rewrite) handler(v endtoend.IPVersion, gso *atomic.Bool) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.GSO {
			gso.Store(true)
		}
		if w == unchanged {
			return nfqueue.Accept()
		}
		endtoend.AddToEach(p.Payload[v.Headers:], w.add)
		return nfqueue.Accept().WithPayload(append(p.Payload, make([]byte, w.more)...))
	}
}

// UDP GSO packets may be rewritten where the kernel can still get their
// checksums right. Elsewhere the fallback lets them on as they were, and
// Config.Segment is the way to rewrite them all the same.
func TestUDPPassesEveryHookAsGSO(t *testing.T) {
	allowed := map[lab.Hook][]rewrite{
		lab.Output:      {unchanged, sameLength},
		lab.Postrouting: {unchanged, sameLength},
		lab.Forward:     {unchanged, sameLength},
		lab.Prerouting:  {unchanged},
		lab.Input:       {unchanged},
	}
	if !diagnose.KernelAtLeast(6, 12) { // older ones lose the datagrams, or panic
		for hook := range allowed {
			allowed[hook] = []rewrite{unchanged}
		}
	}
	rewritable := !endtoend.ForbidsRewrites(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		r := endtoend.NewRouted(t)
		uncut := diagnose.KernelAtLeast(6, 1)
		if !uncut { // the devices of 5.10 cut UDP
			t.Run("devices", func(t *testing.T) { uncut = passUDP(t, r, v, lab.Forward, unchanged, false, nil) })
		}
		for hook, can := range allowed {
			whole := uncut || r.At(hook) == r.A
			for _, w := range []rewrite{unchanged, sameLength, longer} {
				var refused, segmented error // why it is
				if !rewritable && w != unchanged {
					refused, segmented = nfqueue.ErrRewriteForbidden, nfqueue.ErrRewriteForbidden
				}
				if whole && !slices.Contains(can, w) {
					refused = nfqueue.ErrGSO
				}
				t.Run(fmt.Sprintf("%v, %s", hook, w.name), func(t *testing.T) {
					if gso := passUDP(t, r, v, hook, w, false, refused); gso != whole {
						t.Errorf("GSO packets seen: %v", gso)
					}
				})
				t.Run(fmt.Sprintf("%v, %s, Segment", hook, w.name), func(t *testing.T) {
					if passUDP(t, r, v, hook, w, true, segmented) {
						t.Error("GSO packets seen, with Segment")
					}
				})
			}
		}
	})
}

// passUDP sends a UDP GSO packet past the hook, where w is done to it, unless
// there is an error it is refused with, and reports whether it came there in one
// piece.
func passUDP(t *testing.T, r *endtoend.Routed, v endtoend.IPVersion, hook lab.Hook, w rewrite, segmented bool, refused error) (whole bool) {
	t.Helper()
	n := r.At(hook)
	var reported testkit.Errors
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Segment: segmented, Fallback: nfqueue.Accept(), OnError: reported.Add})
	endtoend.AddRule(t, n, v.Family, hook, lab.UDP(9999), lab.Queue(0))
	t.Cleanup(func() { testkit.Must(t, n.Flush()) })
	pc, s := endtoend.UDPGSOPair(t, r, v)
	var gso atomic.Bool
	stop := endtoend.RunQueue(t, q, w.handler(v, &gso))

	sent := endtoend.RandomBytes(endtoend.GSOSize * endtoend.GSOSegments)
	endtoend.Send(t, s, string(sent))
	want := bytes.Clone(sent)
	tail := ""
	if refused == nil {
		endtoend.AddToEach(want, w.add)
		tail = string(make([]byte, w.more))
	}
	for i := range endtoend.GSOSegments {
		endtoend.WantReceived(t, pc, string(want[i*endtoend.GSOSize:][:endtoend.GSOSize])+tail)
	}
	stop()
	if refused != nil {
		reported.WantOnly(t, refused)
	} else if s := q.Stats(); s.Refused > 0 {
		t.Errorf("%d verdicts refused", s.Refused)
	}
	return gso.Load()
}

// The first packet of a connection arrives whole if it is a GSO packet, and in
// all its segments with Config.Segment, unless the kernel has the trap of
// CVE-2026-45859: then none of them is queued.
func TestNewConnectionsBeginWithGSO(t *testing.T) {
	for _, c := range []struct {
		name     string
		segment  bool
		priority int
		packets  uint64
		trap     bool
	}{
		{"whole", false, 0, 1, false},
		{"Segment", true, 0, endtoend.GSOSegments, true},
		{"Segment, before connection tracking", true, -300, endtoend.GSOSegments, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := endtoend.NewRouted(t)
			endtoend.AddRule(t, r.A, lab.IPv4, lab.Output, lab.Tracked(lab.New))
			q := endtoend.OpenQueue(t, r.A, nfqueue.Config{Segment: c.segment})
			chain, err := r.A.Chain(lab.IPv4, lab.Output, c.priority)
			testkit.Must(t, err)
			_, err = chain.Add(lab.UDP(9999), lab.Queue(0))
			testkit.Must(t, err)
			pc, s := endtoend.UDPGSOPair(t, r, endtoend.IPv4)
			packets, last := uint64(0), make(chan uint64, 1)
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if bytes.HasSuffix(p.Payload, []byte("last")) {
					last <- packets
				}
				packets++
				return nfqueue.Accept()
			})
			sent := string(endtoend.RandomBytes(endtoend.GSOSize * endtoend.GSOSegments))
			_, err = s.Write([]byte(sent))
			dropped := c.trap && errors.Is(err, unix.EPERM)
			if !dropped {
				testkit.Must(t, err)
			}
			other, err := r.A.Dial("udp", r.Address(endtoend.IPv4))
			testkit.Must(t, err)
			defer other.Close()
			endtoend.Send(t, other, "last")
			if got := testkit.Next(t, last); c.trap && (dropped || got == 0) {
				wantTrap(t, got)
			} else if got != c.packets {
				t.Errorf("%d packets were queued, want %d", got, c.packets)
			} else {
				if c.trap && trapKernel() == trapped {
					t.Error("this kernel has the trap no more: correct SECURITY.md and trapKernel")
				}
				for i := range endtoend.GSOSegments {
					endtoend.WantReceived(t, pc, sent[i*endtoend.GSOSize:][:endtoend.GSOSize])
				}
			}
			endtoend.WantReceived(t, pc, "last")
		})
	}
}

// wantTrap checks that a kernel that has dropped a connection's first packet may
// have done so, and has queued nothing of it.
func wantTrap(t *testing.T, queued uint64) {
	t.Helper()
	if queued != 0 || trapKernel() == untrapped {
		t.Errorf("%d segments of %d were queued, the others dropped", queued, endtoend.GSOSegments)
	}
	t.Log("this kernel drops the packet, as documented")
}

// What is known of the running kernel and CVE-2026-45859.
const (
	unknown = iota
	trapped
	untrapped
)

// trapKernel tells. The trap came with 6.11, and with the same change to older
// series; distributors may have mended theirs.
func trapKernel() int {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return unknown
	}
	var minor, patch, debian int
	_, build, _ := strings.Cut(unix.ByteSliceToString(u.Version[:]), "Debian 6.1.")
	fmt.Sscanf(build, "%d-", &debian)
	fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "6.%d.%d", &minor, &patch)
	mended := map[int]int{12: 75, 18: 14, 19: 4}
	switch first, ok := mended[minor]; {
	case diagnose.KernelAtLeast(7, 0), ok && patch >= first:
		return untrapped
	case debian >= 176:
		return trapped
	}
	return unknown
}
