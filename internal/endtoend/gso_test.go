//go:build linux

package endtoend

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/kernelversion"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A road leads from a to b through a router. Its devices cut nothing and leave
// checksums to others, as virtual ones do, so that GSO packets travel it whole.
type road struct{ a, router, b *lab.Net }

func newRoad(t testing.TB) *road {
	t.Helper()
	r := &road{newNet(t), newNet(t), newNet(t)}
	must(t, r.router.Forwarding(true))
	for _, end := range []struct {
		net                 *lab.Net
		port                string
		prefixes            [2]string
		far, gateway, gate6 string
	}{
		{r.a, "to-a", [2]string{"192.0.2.1/24", "2001:db8:a::1/64"}, "198.51.100.0/24", "192.0.2.254", "2001:db8:a::ff"},
		{r.b, "to-b", [2]string{"198.51.100.1/24", "2001:db8:b::1/64"}, "192.0.2.0/24", "198.51.100.254", "2001:db8:b::ff"},
	} {
		must(t, end.net.Veth("eth0", r.router, end.port))
		must(t, r.router.Up(end.port))
		must(t, end.net.Up("eth0"))
		// Devices of the lab have no address that a router asks neighbours from.
		must(t, r.router.AddAddr(end.port, netip.MustParsePrefix("fe80::ff/64")))
		for i, gateway := range []string{end.gateway, end.gate6} {
			own := netip.MustParsePrefix(end.prefixes[i])
			gw := netip.MustParseAddr(gateway)
			must(t, end.net.AddAddr("eth0", own))
			must(t, r.router.AddAddr(end.port, netip.PrefixFrom(gw, own.Bits())))
		}
		must(t, end.net.AddRoute(netip.MustParsePrefix(end.far), netip.MustParseAddr(end.gateway)))
		must(t, end.net.AddRoute(netip.MustParsePrefix("2001:db8::/32"), netip.MustParseAddr(end.gate6)))
	}
	return r
}

// address is where the receiver at b listens.
func (r *road) address(v ipVersion) string {
	if v.family == lab.IPv6 {
		return "[2001:db8:b::1]:9999"
	}
	return "198.51.100.1:9999"
}

// at returns the namespace in which packets for b pass the hook.
func (r *road) at(h lab.Hook) *lab.Net {
	switch h {
	case lab.Output, lab.Postrouting:
		return r.a
	case lab.Forward:
		return r.router
	}
	return r.b
}

// Rewritten or not, TCP arrives intact wherever it was queued. Where nothing can
// be rewritten, it arrives as it was.
func TestTCPPassesEveryHookAsGSO(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		r := newRoad(t)
		for _, hook := range []lab.Hook{lab.Output, lab.Postrouting, lab.Forward, lab.Prerouting, lab.Input} {
			for _, segmented := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, Segment %v", hook, segmented), func(t *testing.T) {
					n := r.at(hook)
					q := openQueue(t, n, nfqueue.Config{Segment: segmented, Fallback: nfqueue.Accept()})
					addRule(t, n, v.family, hook, lab.TCP(9999), lab.Queue(0))
					t.Cleanup(func() { must(t, n.Flush()) })
					passTCP(t, r, v, q, segmented)
				})
			}
		}
	})
}

// passTCP sends a stream past q as it is, and one that is rewritten.
func passTCP(t *testing.T, r *road, v ipVersion, q *nfqueue.Queue, segmented bool) {
	t.Helper()
	rewritable := !confined(t)
	var gso atomic.Int64
	rewrite := addOne(&gso)
	for add, handler := range []nfqueue.Handler{
		func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() },
		rewrite,
	} {
		stop := runQueue(t, q, handler)
		client, server := tcpPair(t, r.a, r.b, r.address(v))
		if !rewritable {
			add = 0
		}
		wantStream(t, client, server, randomBytes(512<<10), byte(add))
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

// Sizes of the test's UDP GSO packet.
const (
	gsoSize     = 1200
	gsoSegments = 12
)

// udpGSOPair returns a receiver at b and a sender at a, whose writes the kernel
// cuts into datagrams as late as it can.
func udpGSOPair(t *testing.T, r *road, v ipVersion) (net.PacketConn, net.Conn) {
	t.Helper()
	pc, err := r.b.ListenPacket("udp", r.address(v))
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	c, err := r.a.Dial("udp", r.address(v))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	segmented(t, c)
	return pc, c
}

// segmented makes the kernel cut what c writes into datagrams, as late as it can.
func segmented(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, gsoSize)
	}))
	must(t, err)
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
func (w rewrite) handler(v ipVersion, gso *atomic.Bool) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.GSO {
			gso.Store(true)
		}
		if w == unchanged {
			return nfqueue.Accept()
		}
		addTo(p.Payload[v.headers:], w.add)
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
	if !kernelversion.AtLeast(6, 12) { // older ones lose the datagrams, or panic
		for hook := range allowed {
			allowed[hook] = []rewrite{unchanged}
		}
	}
	rewritable := !confined(t)
	eachVersion(t, func(t *testing.T, v ipVersion) {
		r := newRoad(t)
		uncut := kernelversion.AtLeast(6, 1)
		if !uncut { // the devices of 5.10 cut UDP
			t.Run("devices", func(t *testing.T) { uncut = passUDP(t, r, v, lab.Forward, unchanged, false, nil) })
		}
		for hook, can := range allowed {
			whole := uncut || r.at(hook) == r.a
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
func passUDP(t *testing.T, r *road, v ipVersion, hook lab.Hook, w rewrite, segmented bool, refused error) (whole bool) {
	t.Helper()
	n := r.at(hook)
	var told collector
	q := openQueue(t, n, nfqueue.Config{Segment: segmented, Fallback: nfqueue.Accept(), OnError: told.add})
	addRule(t, n, v.family, hook, lab.UDP(9999), lab.Queue(0))
	t.Cleanup(func() { must(t, n.Flush()) })
	pc, s := udpGSOPair(t, r, v)
	var gso atomic.Bool
	stop := runQueue(t, q, w.handler(v, &gso))

	sent := randomBytes(gsoSize * gsoSegments)
	send(t, s, string(sent))
	want := bytes.Clone(sent)
	tail := ""
	if refused == nil {
		addTo(want, w.add)
		tail = string(make([]byte, w.more))
	}
	for i := range gsoSegments {
		wantReceived(t, pc, string(want[i*gsoSize:][:gsoSize])+tail)
	}
	stop()
	if refused != nil {
		told.wantOnly(t, refused)
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
		{"Segment", true, 0, gsoSegments, true},
		{"Segment, before connection tracking", true, -300, gsoSegments, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoad(t)
			addRule(t, r.a, lab.IPv4, lab.Output, lab.Tracked(lab.New))
			q := openQueue(t, r.a, nfqueue.Config{Segment: c.segment})
			chain, err := r.a.Chain(lab.IPv4, lab.Output, c.priority)
			must(t, err)
			_, err = chain.Add(lab.UDP(9999), lab.Queue(0))
			must(t, err)
			pc, s := udpGSOPair(t, r, ipv4)
			packets, last := uint64(0), make(chan uint64, 1)
			runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if bytes.HasSuffix(p.Payload, []byte("last")) {
					last <- packets
				}
				packets++
				return nfqueue.Accept()
			})
			sent := string(randomBytes(gsoSize * gsoSegments))
			_, err = s.Write([]byte(sent))
			dropped := c.trap && errors.Is(err, unix.EPERM)
			if !dropped {
				must(t, err)
			}
			other, err := r.a.Dial("udp", r.address(ipv4))
			must(t, err)
			defer other.Close()
			send(t, other, "last")
			if got := next(t, last); c.trap && (dropped || got == 0) {
				wantTrap(t, got)
			} else if got != c.packets {
				t.Errorf("%d packets were queued, want %d", got, c.packets)
			} else {
				if c.trap && trapKernel() == trapped {
					t.Error("this kernel has the trap no more: correct SECURITY.md and trapKernel")
				}
				for i := range gsoSegments {
					wantReceived(t, pc, sent[i*gsoSize:][:gsoSize])
				}
			}
			wantReceived(t, pc, "last")
		})
	}
}

// wantTrap checks that a kernel that has dropped a connection's first packet may
// have done so, and has queued nothing of it.
func wantTrap(t *testing.T, queued uint64) {
	t.Helper()
	if queued != 0 || trapKernel() == untrapped {
		t.Errorf("%d segments of %d were queued, the others dropped", queued, gsoSegments)
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
	case kernelversion.AtLeast(7, 0), ok && patch >= first:
		return untrapped
	case debian >= 176:
		return trapped
	}
	return unknown
}
