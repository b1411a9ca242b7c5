//go:build linux

package conntrack

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// openTrackingLog opens group 5 with every number and connections. It skips the
// test, having checked the refusal, where the kernel has no connections for a log.
func openTrackingLog(t *testing.T, n *lab.Net) *nflog.Reader {
	t.Helper()
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1, GlobalSequence: true, Conntrack: true, Socket: nfnl.Config{NetNS: n.FD()}}
	r, err := nflog.Open(cfg)
	if err == nil {
		t.Cleanup(func() { r.Close() })
		return r
	}
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "Config.Conntrack") {
		t.Fatalf("Open: %v, want one that matches errors.ErrUnsupported and names the field", err)
	}
	cfg.Conntrack = false
	r = endtoend.OpenLog(t, n, cfg) // the group was not left bound
	cfg.Conntrack = true
	if err := r.Configure(cfg); !errors.Is(err, errors.ErrUnsupported) || r.Granted().Conntrack {
		t.Errorf("Configure: %v, granted %+v", err, r.Granted())
	}
	cfg.BestEffort = true
	testkit.Must(t, r.Configure(cfg))
	testkit.Must(t, r.Close())
	r = endtoend.OpenLog(t, n, cfg)
	if g, c := r.Granted(), r.Config(); g.Conntrack || !c.Conntrack || !c.GlobalSequence {
		t.Errorf("granted %+v", g)
	}
	testkit.Must(t, r.Close())
	t.Skip("this kernel puts no connections into log messages, and says so")
	return nil
}

// TestLogTellsOfConnections has all flags together, which another library
// refused.
func TestLogTellsOfConnections(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		r := openTrackingLog(t, n)
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.UDP(9999), lab.Tracked(lab.New), lab.Log(5, "", 0, 0))
		_, from := endtoend.UDPPair(t, n, "udp", v.Address())
		endtoend.Send(t, from, "0", "1")
		all := endtoend.NextLogged(t, r, 2)
		v.WantNumbers(t, all, 0, 2)
		src, dst := netip.MustParseAddrPort(from.LocalAddr().String()), netip.MustParseAddrPort(v.Address())
		var first attr.Conntrack
		for i, p := range all {
			c, err := p.Conntrack()
			testkit.Must(t, err)
			if p.Seq != uint32(i) || p.GlobalSeq != uint32(i+1) || p.ConntrackInfo != attr.InfoNew {
				t.Errorf("packet %d: numbers %d and %d, %v", i, p.Seq, p.GlobalSeq, p.ConntrackInfo)
			}
			if c.Original.Protocol != 17 || c.Original.Src != src || c.Original.Dst != dst || c.Reply.Src != dst || c.ID == 0 {
				t.Errorf("packet %d: connection %+v", i, c)
			}
			if i == 0 {
				first = c
			} else if c.ID != first.ID {
				t.Errorf("connection %#x, then %#x", first.ID, c.ID)
			}
		}

		// The flag can be taken back, which leaves the numbers as they are.
		cfg := r.Config()
		cfg.Conntrack = false
		testkit.Must(t, r.Configure(cfg))
		endtoend.Send(t, from, "2")
		p := endtoend.NextLogged(t, r, 1)[0]
		if _, err := p.Conntrack(); err != nflog.ErrUntracked || p.ConntrackInfo != attr.InfoUntracked || p.Seq != 2 || p.GlobalSeq != 3 {
			t.Errorf("%v, %v, numbers %d and %d", err, p.ConntrackInfo, p.Seq, p.GlobalSeq)
		}
		if s := r.Stats(); s.Lost != 0 || s.Malformed != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
