//go:build linux

package rewrite

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// refusals are the errors that the table has for rewrites.
var refusals = map[string]error{
	"ErrFragment":         nfqueue.ErrFragment,
	"ErrGSO":              nfqueue.ErrGSO,
	"ErrNotIP":            nfqueue.ErrNotIP,
	"ErrRewriteForbidden": nfqueue.ErrRewriteForbidden,
	"ErrTunnel":           nfqueue.ErrTunnel,
}

// A row of the table: what becomes of the rewrites of one kind of packet.
type row map[string]string

// readTable reads the table of docs/rewriting.md: rows by kind of packet, cells by
// kind of rewrite.
func readTable(t *testing.T) map[string]row {
	t.Helper()
	b, err := os.ReadFile("testdata/rewriting.md")
	testkit.Must(t, err)
	rows := map[string]row{}
	var columns []string
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		switch {
		case i == 0:
			columns = cells
		case i > 1:
			r := row{}
			for j, c := range columns[1:] {
				r[c] = cells[j+1]
			}
			rows[cells[0]] = r
		}
	}
	return rows
}

// at returns what becomes of a rewrite at a hook; tried is false for those that
// make no sense. A cell is "OUTCOME" or "OUTCOME; HOOK, HOOK: OUTCOME".
func (r row) at(t *testing.T, rewrite string, h lab.Hook) (refused error, tried bool) {
	t.Helper()
	outcome, exception, _ := strings.Cut(r[rewrite], "; ")
	if hooks, other, ok := strings.Cut(exception, ": "); ok && slices.Contains(strings.Split(hooks, ", "), h.String()) {
		outcome = other
	}
	refused = refusals[outcome]
	if refused == nil && outcome != "arrives" && outcome != "" {
		t.Fatalf("the table has %q", outcome)
	}
	return refused, outcome != ""
}

// A replacement makes another packet of p, whose data is at from: it returns the
// packet and its data.
type replacement func(p *nfqueue.Packet, from int) (packet, data []byte)

// resized returns a replacement that changes every byte of the data, and takes
// some away from the end of it or adds some.
func resized(size func(n int) int) replacement {
	return func(p *nfqueue.Packet, from int) ([]byte, []byte) {
		b := bytes.Clone(p.Payload)
		behind := surplus(b)
		end := len(b) - behind
		n := size(end - from)
		data := append(bytes.Clone(b[from:end]), "!!!"...)[:n]
		endtoend.AddToEach(data, 1)
		return slices.Concat(b[:from], data, b[end:]), data
	}
}

// surplus returns how many bytes are behind an IPv4 packet's UDP datagram.
func surplus(b []byte) int {
	if f, ok := nfnl.ParseFlow(b); ok && b[0] == 0x45 && f.Protocol == 17 && f.FragmentOffset == 0 && !f.MoreFragments {
		return len(b) - 20 - int(b[24])<<8 - int(b[25])
	}
	return 0
}

// marked is a replacement for packets whose data belongs to others.
func marked(p *nfqueue.Packet, from int) ([]byte, []byte) {
	b := bytes.Clone(p.Payload)
	b[1] ^= 0x40 // the traffic class
	return b, bytes.Clone(p.Payload[from:])
}

// replacements are the kinds of rewrites.
var replacements = map[string]replacement{
	"same length":  resized(func(n int) int { return n }),
	"longer":       resized(func(n int) int { return n + 3 }),
	"shorter":      resized(func(n int) int { return n - 3 }),
	"much shorter": resized(func(n int) int { return min(5, n) }),
	"other IP version": func(p *nfqueue.Packet, _ int) ([]byte, []byte) {
		const echo = "\x08\x00\x00\x00\x12\x34\x00\x01"
		if p.Payload[0]>>4 == 4 {
			src, dst := netip.MustParseAddr("2001:db8:a::1").As16(), netip.MustParseAddr("2001:db8:b::1").As16()
			return slices.Concat([]byte{0x60, 0, 0, 0, 0, 8, 58, 64}, src[:], dst[:], []byte(echo)), nil
		}
		return slices.Concat([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1}, []byte(echo)), nil
	},
}

// TestRewritesArriveOrAreRefused is the table of docs/rewriting.md: whatever
// packet is rewritten at whatever hook, it arrives as it was given or is refused
// with the table's error, and arrives as it was. Nothing is lost.
func TestRewritesArriveOrAreRefused(t *testing.T) {
	endtoend.NeedRewriting(t)
	needSegments(t)
	rows := readTable(t)
	for _, k := range slices.Concat(untunnelled, tunnelled(), frames) {
		r, ok := rows[k.name]
		delete(rows, k.name)
		if !ok {
			t.Errorf("%s is not in the table", k.name)
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			if k.conntrack && !grantsConntrack(t) {
				t.Skip("this kernel does not show connections")
			}
			at := k.build(t)
			for _, h := range k.hooks {
				t.Run(h.String(), func(t *testing.T) { k.pass(t, r, h, at(h)) })
			}
		})
	}
	for name := range rows {
		t.Errorf("%s is in the table, and nobody tries it", name)
	}
}

// grantsConntrack reports whether the kernel can show the connections of packets.
func grantsConntrack(t *testing.T) bool {
	t.Helper()
	n := endtoend.NewNet(t)
	cfg := nfqueue.Config{Conntrack: true}
	cfg.Socket.NetNS = n.FD()
	q, err := nfqueue.Open(cfg)
	if err != nil {
		return false
	}
	q.Close()
	return true
}

// compare checks that what arrives is what was given, or sent if that was refused.
func (k *traffic) compare(t *testing.T, receive func(n int) []byte, want []byte, refused error) {
	t.Helper()
	switch {
	case k.stream && (k.intact || refused != nil):
		want = []byte(k.message)[:20] // the rest depends on how it was cut
	case k.intact || refused != nil:
		want = []byte(k.message)
	}
	if got := receive(len(want)); !bytes.Equal(got, want) {
		t.Errorf("received %d bytes, %.40q, want %d, %.40q", len(got), got, len(want), want)
	}
}

// onThisKernel returns what becomes of a rewrite on the running kernel: some cut
// no UDP that was rewritten, and others let no frame be rewritten.
func (k *traffic) onThisKernel(want error) error {
	switch {
	case k.frame && endtoend.RestrictsRewrites() && !errors.Is(want, nfqueue.ErrNotIP):
		return nfqueue.ErrRewriteForbidden
	case k.udpGSO && want == nil && !diagnose.KernelAtLeast(6, 12):
		return nfqueue.ErrGSO
	}
	return want
}

// needSegments skips a test on a kernel that segments UDP and tunnels otherwise than
// those of today.
func needSegments(t *testing.T) {
	t.Helper()
	if !diagnose.KernelAtLeast(6, 1) {
		t.Skip("this is about Linux 6.1 and later: 5.10 segments UDP and tunnels otherwise")
	}
}
