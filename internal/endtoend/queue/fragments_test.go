//go:build linux

package queue

import (
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// What a handler sees of a datagram that travels in fragments: the whole of it, or
// each fragment. Connection tracking puts them together at prerouting and output;
// without it a router forwards them one by one, and a receiver puts IPv4 together
// before the hook input and IPv6 behind it.
func TestFragmentsByHook(t *testing.T) {
	type want struct {
		whole4, whole6 bool
	}
	for hook, want := range map[lab.Hook]want{
		lab.Output:      {true, true},
		lab.Postrouting: {true, true},
		lab.Prerouting:  {false, false},
		lab.Forward:     {false, false},
		lab.Input:       {true, false},
	} {
		t.Run(hook.String(), func(t *testing.T) {
			endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
				whole := want.whole4
				if v == endtoend.IPv6 {
					whole = want.whole6
				}
				t.Run("without connection tracking", func(t *testing.T) { wantFragments(t, v, hook, false, whole) })
				t.Run("with connection tracking", func(t *testing.T) { wantFragments(t, v, hook, true, true) })
			})
		})
	}
}

// wantFragments sends a datagram of three fragments past a queue at the hook.
func wantFragments(t *testing.T, v endtoend.IPVersion, hook lab.Hook, tracked, whole bool) {
	t.Helper()
	r := endtoend.NewRouted(t)
	n := r.At(hook)
	if tracked {
		endtoend.AddRule(t, n, v.Family, hook, lab.Tracked(lab.New))
	}
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
	endtoend.AddRule(t, n, v.Family, hook, lab.L4(17), lab.Queue(7))
	flows := make(chan nfnl.Flow, 10)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		f, _ := nfnl.ParseFlow(p.Payload)
		flows <- f
		return nfqueue.Accept()
	})
	to, err := r.B.ListenPacket("udp", r.Address(v))
	testkit.Must(t, err)
	defer to.Close()
	from, err := r.A.Dial("udp", r.Address(v))
	testkit.Must(t, err)
	defer from.Close()
	body := strings.Repeat("0123456789", 400)
	endtoend.Send(t, from, body)
	endtoend.WantReceived(t, to, body)
	if whole {
		if f := testkit.Next(t, flows); f.FragmentOffset > 0 || f.MoreFragments || len(flows) > 0 {
			t.Errorf("a fragment came: %+v, and %d more", f, len(flows))
		}
		return
	}
	at := 0
	for i := range 3 {
		f := testkit.Next(t, flows)
		if f.FragmentOffset != at || f.MoreFragments != (i < 2) || (f.Dst.Port() == 9999) != (i == 0) {
			t.Errorf("fragment %d: %+v, want it at %d", i, f, at)
		}
		at += f.Length - (v.Headers - 8) // of the IP header
		if v == endtoend.IPv6 {
			at -= 8 // of the fragment header
		}
	}
}
