//go:build linux

package conntrack

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// connections asks the kernel for all it tracks.
func connections(t testing.TB, n *lab.Net) (all []attr.Conntrack) {
	t.Helper()
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	const get = 1<<8 | 1 // IPCTNL_MSG_CT_GET of NFNL_SUBSYS_CTNETLINK
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: get, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.AF_UNSPEC, 0, 0, 0},
	})
	testkit.Must(t, err)
	for _, m := range messages {
		var c attr.Conntrack
		testkit.Must(t, c.Decode(m.Data[4:]))
		all = append(all, c)
	}
	return all
}

// verdictConfigs are those with which a verdict can change a connection.
var verdictConfigs = map[string]nfqueue.Config{
	"Conntrack":         {Conntrack: true},
	"ConntrackVerdicts": {ConntrackVerdicts: true},
}

// A lane of a connection is one in whose namespace rules count by connection.
func newTrackedUDP(t *testing.T, cfg nfqueue.Config) *endtoend.QueuedUDP {
	t.Helper()
	l := &endtoend.QueuedUDP{Net: endtoend.NewNet(t)}
	endtoend.NeedConntrack(t, l.Net, cfg)
	l.Queue = endtoend.OpenQueue(t, l.Net, cfg)
	endtoend.AddRule(t, l.Net, lab.IPv4, lab.Output, lab.UDP(9999), lab.Tracked(^lab.Untracked), lab.SetCTMark(0xff00), lab.Queue(cfg.Queue))
	l.To, l.From = endtoend.UDPPair(t, l.Net, "udp", endtoend.IPv4.Address())
	return l
}

// A new mark is there for the next rule, and for whoever asks the kernel; bits
// outside the mask stay.
func TestVerdictChangesTheConnectionsMark(t *testing.T) {
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newTrackedUDP(t, cfg)
			verdicts := []struct {
				mark, mask, want uint32
			}{
				{0x1234, 0xffffffff, 0x1234},
				{0xffff, 0x0ff0, 0xfff0}, // of 0xff00, which the rule sets
				{0, 0xf000, 0x0f00},
				{0x80000000, 0xf0000000, 0x8000ff00},
				{0x5555, 0, 0xff00}, // a mask of no bits
				{0, 0xffffffff, 0},
			}
			i := 0
			endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
				// Without Config.Conntrack packets do not tell of their connection.
				if _, err := p.Conntrack(); (err == nil) != cfg.Conntrack {
					t.Errorf("packet %d: %v", p.ID, err)
				}
				v := verdicts[i]
				i++
				return nfqueue.Accept().WithConntrackMark(v.mark, v.mask)
			})
			for _, v := range verdicts {
				after := endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.CTMark(v.want))
				endtoend.Send(t, l.From, "x")
				endtoend.WantReceived(t, l.To, "x")
				endtoend.WantPackets(t, after, 1)
				if all := connections(t, l.Net); len(all) != 1 || all[0].Mark != v.want {
					t.Errorf("mark %#x with mask %#x: %+v, want %#x", v.mark, v.mask, all, v.want)
				}
			}
		})
	}
}

func TestVerdictChangesTheConnectionsLabels(t *testing.T) {
	labels := func(numbers ...int) (l attr.ConntrackLabels) {
		for _, n := range numbers {
			l.Set(n)
		}
		return l
	}
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newTrackedUDP(t, cfg)
			// Connections have room for labels while there is a rule that sets any.
			endtoend.AddRule(t, l.Net, lab.IPv4, lab.Output, lab.UDP(1), lab.SetCTLabels(labels(1)))
			verdicts := []struct{ set, mask, want attr.ConntrackLabels }{
				{labels(0, 33, 127), attr.AllLabels(), labels(0, 33, 127)},
				{labels(1, 2, 64), labels(1, 33, 64), labels(0, 1, 64, 127)},
				{labels(), labels(0), labels(1, 64, 127)},
				{labels(5), labels(), labels(1, 64, 127)}, // a mask of no labels
				{labels(), attr.AllLabels(), labels()},
			}
			i := 0
			endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
				v := verdicts[i]
				i++
				return nfqueue.Accept().WithConntrackLabels(v.set, v.mask)
			})
			after := map[int]*lab.Rule{}
			count := map[int]uint64{}
			for _, n := range []int{0, 1, 2, 33, 64, 127} {
				after[n] = endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.CTLabel(labels(n)))
			}
			for _, v := range verdicts {
				endtoend.Send(t, l.From, "x")
				endtoend.WantReceived(t, l.To, "x")
				for n, r := range after {
					if v.want.Has(n) {
						count[n]++
					}
					endtoend.WantPackets(t, r, count[n])
				}
				if all := connections(t, l.Net); len(all) != 1 || all[0].Labels != v.want || all[0].HasLabels != (v.want != labels()) {
					t.Errorf("labels %x with mask %x: %+v, want %x", v.set, v.mask, all, v.want)
				}
			}
		})
	}
}

// A connection with a long time to live keeps it until its next packet comes,
// and one with a short time is soon gone.
func TestVerdictChangesTheConnectionsTimeout(t *testing.T) {
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newTrackedUDP(t, cfg)
			timeouts := make(chan time.Duration, 1)
			endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
				return nfqueue.Accept().WithConntrackTimeout(<-timeouts)
			})
			for i, want := range []time.Duration{55 * time.Minute, 99 * time.Minute} {
				timeouts <- want - time.Millisecond // is rounded up
				endtoend.Send(t, l.From, "x")
				endtoend.WantReceived(t, l.To, "x")
				if i == 0 && !diagnose.KernelAtLeast(6, 1) {
					continue // old kernels add the time since they booted to that of a new connection
				}
				all := connections(t, l.Net)
				if len(all) != 1 || all[0].Timeout > want || all[0].Timeout < want-time.Minute {
					t.Errorf("after packet %d: %+v, want one for %v", i, all, want)
				}
			}
			timeouts <- time.Second
			endtoend.Send(t, l.From, "z")
			endtoend.WantReceived(t, l.To, "z")
			testkit.Await(t, "for the end of the connection", func() bool { return len(connections(t, l.Net)) == 0 })
		})
	}
}

// A verdict sets and clears bits of a connection's status. Where it would clear
// one that has to stay, it changes nothing behind that.
func TestVerdictChangesTheConnectionsStatus(t *testing.T) {
	const can = attr.StatusSeenReply | attr.StatusAssured | attr.StatusFixedTimeout | attr.StatusHelper
	for name, cfg := range verdictConfigs {
		t.Run(name, func(t *testing.T) {
			l := newTrackedUDP(t, cfg)
			verdicts := make(chan nfqueue.Verdict, 1)
			endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict { return <-verdicts })
			accept := nfqueue.Accept().WithConntrackMark(7, 0xffffffff)
			for i, c := range []struct {
				status, want attr.ConntrackStatus
				mark         uint32
			}{
				{attr.StatusFixedTimeout | attr.StatusConfirmed | attr.StatusDying, attr.StatusFixedTimeout, 7},
				{attr.StatusHelper, attr.StatusHelper, 7},
				{attr.StatusAssured | attr.StatusFixedTimeout, attr.StatusAssured | attr.StatusFixedTimeout, 7},
				{attr.StatusHelper, attr.StatusAssured | attr.StatusFixedTimeout, 0xff00}, // what the rule sets
				{attr.StatusAssured | attr.StatusSeenReply, attr.StatusAssured | attr.StatusSeenReply, 7},
				{attr.StatusAssured, attr.StatusAssured | attr.StatusSeenReply, 0xff00},
			} {
				verdicts <- accept.WithConntrackStatus(c.status)
				endtoend.Send(t, l.From, "x")
				endtoend.WantReceived(t, l.To, "x")
				if all := connections(t, l.Net); len(all) != 1 || all[0].Status&can != c.want || all[0].Mark != c.mark {
					t.Errorf("after packet %d: %+v, want status %v, mark %#x", i, all, c.want, c.mark)
				}
			}
		})
	}
}

// A packet that is not tracked, or that comes from a queue which was not asked
// to change connections, gets the fallback, and OnError reports it.
func TestVerdictOnAnUntrackedPacketGetsTheFallback(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   nfqueue.Config
		rules []lab.Term
	}{
		{"no rule has conntrack", nfqueue.Config{Conntrack: true}, nil},
		{"notrack", nfqueue.Config{Conntrack: true}, []lab.Term{lab.NoTrack()}},
		{"neither Conntrack nor ConntrackVerdicts", nfqueue.Config{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			if c.cfg.Conntrack {
				endtoend.NeedConntrack(t, n, c.cfg)
			}
			var reported testkit.Errors
			c.cfg.OnError, c.cfg.Fallback = reported.Add, nfqueue.Accept().WithMark(1)
			q := endtoend.OpenQueue(t, n, c.cfg)
			if len(c.rules) > 0 {
				endtoend.AddRules(t, n, lab.IPv4, lab.Output, -300, append([]lab.Term{lab.UDP(9999)}, c.rules...))
				untracked := endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Tracked(lab.Untracked))
				t.Cleanup(func() { endtoend.WantPackets(t, untracked, 3) })
			}
			endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
			fallback := endtoend.AddRule(t, n, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(1))
			var labels attr.ConntrackLabels
			labels.Set(1)
			verdicts := []nfqueue.Verdict{
				nfqueue.Drop().WithConntrackMark(1, 0xffffffff),
				nfqueue.Drop().WithConntrackLabels(labels, labels),
				nfqueue.Drop().WithConntrackTimeout(time.Hour),
			}
			i := 0
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if _, err := p.Conntrack(); !errors.Is(err, nfqueue.ErrUntracked) || p.ConntrackInfo != attr.InfoUntracked {
					t.Errorf("packet %d is %v, %v; want untracked and ErrUntracked", p.ID, p.ConntrackInfo, err)
				}
				i++
				return verdicts[i-1]
			})
			pc, conn := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
			for i := range verdicts {
				endtoend.Send(t, conn, fmt.Sprint(i))
				endtoend.WantReceived(t, pc, fmt.Sprint(i))
			}
			endtoend.WantPackets(t, fallback, uint64(len(verdicts)))
			if reported.Count(nfqueue.ErrUntracked) != len(verdicts) {
				t.Errorf("OnError was called for %v", reported.All())
			}
			reported.WantOnly(t, nfqueue.ErrUntracked)
		})
	}
}

// What the kernel cannot do it says nothing of: there is no room for labels
// while no rule sets any, and what comes behind them is lost too.
func TestLabelsWithoutRoomAreLost(t *testing.T) {
	l := newTrackedUDP(t, nfqueue.Config{Conntrack: true})
	var labels attr.ConntrackLabels
	labels.Set(1)
	endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithConntrackMark(1, 0xffffffff).WithConntrackLabels(labels, labels).WithConntrackTimeout(time.Hour)
	})
	for range 2 {
		endtoend.Send(t, l.From, "x")
		endtoend.WantReceived(t, l.To, "x")
	}
	all := connections(t, l.Net)
	if len(all) != 1 || all[0].Mark != 0xff00 || all[0].Labels != (attr.ConntrackLabels{}) || all[0].Timeout < 50*time.Minute {
		t.Errorf("connections %+v, want one with a new timeout only", all)
	}
}
