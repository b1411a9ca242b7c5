//go:build linux

package conntrack

import (
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A dialogue over UDP: each packet knows its place, and the connection all that
// rules and sysctls have given it.
func TestConntrackTellsOfADatagram(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
		for key, value := range map[string]string{"acct": "1", "timestamp": "1", "udp_timeout": "77"} {
			testkit.Must(t, n.Sysctl("net/netfilter/nf_conntrack_"+key, value))
		}
		var labels attr.ConntrackLabels
		labels.Set(1)
		labels.Set(127)
		packets := follow(t, n, 7, nfqueue.Accept())
		udp := lab.L4(unix.IPPROTO_UDP)
		endtoend.AddRules(t, n, v.Family, lab.Output, 0,
			[]lab.Term{udp, lab.Tracked(lab.New), lab.SetCTMark(0xfeed), lab.SetCTLabels(labels)},
			[]lab.Term{udp, lab.Queue(7)})
		pc, c := endtoend.UDPPair(t, n, "udp", v.Address())
		before := time.Now()
		endtoend.Send(t, c, "question")
		endtoend.WantReceived(t, pc, "question")
		_, err := pc.WriteTo([]byte("answer"), c.LocalAddr())
		testkit.Must(t, err)
		endtoend.Send(t, c, "thanks")

		client, server := addrPort(c.LocalAddr()), addrPort(pc.LocalAddr())
		full := diagnose.KernelAtLeast(5, 13) // before, packets came without counters and times
		sizes := []uint64{8, 6, 6}
		var want struct{ original, reply attr.Counters }
		for i, info := range []attr.ConntrackInfo{attr.InfoNew, attr.InfoEstablishedReply, attr.InfoEstablished} {
			p := testkit.Next(t, packets)
			counters := &want.original
			if info == attr.InfoEstablishedReply {
				counters = &want.reply
			}
			if full {
				counters.Packets++
				counters.Bytes += uint64(v.Headers) + sizes[i]
			}
			wantInfo(t, p, info)
			wantTuples(t, p, ends(unix.IPPROTO_UDP, client, server), ends(unix.IPPROTO_UDP, server, client))
			if p.conn.Counted != full || p.conn.OriginalCounters != want.original || p.conn.ReplyCounters != want.reply {
				t.Errorf("packet %d: counters %v, %+v and %+v, want %+v", p.ID, p.conn.Counted, p.conn.OriginalCounters, p.conn.ReplyCounters, want)
			}
			if p.conn.Mark != 0xfeed || !p.conn.HasMark || p.conn.Labels != labels || !p.conn.HasLabels {
				t.Errorf("packet %d: mark %#x, %v, labels %x", p.ID, p.conn.Mark, p.conn.HasMark, p.conn.Labels)
			}
			if p.conn.Zone != 0 || p.conn.TCP.State != 0 || p.conn.Helper != nil || p.conn.SourceNAT() || p.conn.DestinationNAT() {
				t.Errorf("packet %d: %+v", p.ID, p.conn)
			}
			if info == attr.InfoNew {
				wantStatus(t, p, 0, progress)
				if !p.conn.Start.IsZero() {
					t.Errorf("packet %d: began at %v, before its first packet left", p.ID, p.conn.Start)
				}
				continue
			}
			wantStatus(t, p, attr.StatusConfirmed|attr.StatusSeenReply, attr.StatusConfirmed|attr.StatusSeenReply)
			if s := p.conn.Start; full && s.Before(before.Round(0)) || s.After(time.Now()) || !p.conn.Stop.IsZero() {
				t.Errorf("packet %d: from %v to %v", p.ID, s, p.conn.Stop)
			}
			if info == attr.InfoEstablishedReply && (p.conn.Timeout > 77*time.Second || p.conn.Timeout < 50*time.Second) {
				t.Errorf("packet %d: timeout %v, want 77 s or a little less", p.ID, p.conn.Timeout)
			}
		}
	})
}

func TestConntrackTellsHowFarTCPIs(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
		packets := follow(t, n, 0, nfqueue.Accept())
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Tracked(^lab.Untracked), lab.Queue(0))
		c, s := endtoend.TCPPair(t, n, n, v.Address())
		client, server := addrPort(c.LocalAddr()), addrPort(s.LocalAddr())
		id := uint32(0)
		for _, want := range []struct {
			info   attr.ConntrackInfo
			state  attr.TCPState
			status attr.ConntrackStatus
		}{
			{attr.InfoNew, attr.TCPSynSent, 0},
			{attr.InfoEstablishedReply, attr.TCPSynRecv, attr.StatusConfirmed | attr.StatusSeenReply},
			{attr.InfoEstablished, attr.TCPEstablished, progress},
		} {
			p := testkit.Next(t, packets)
			wantInfo(t, p, want.info)
			wantStatus(t, p, want.status, progress)
			wantTuples(t, p, ends(unix.IPPROTO_TCP, client, server), ends(unix.IPPROTO_TCP, server, client))
			if p.conn.TCP.State != want.state || p.conn.Counted || !p.conn.Start.IsZero() {
				t.Errorf("packet %d: %v, want %v and nothing counted: %+v", p.ID, p.conn.TCP.State, want.state, p.conn)
			}
			if id == 0 {
				id = p.conn.ID
			}
			if p.conn.ID != id || id == 0 {
				t.Errorf("packet %d: connection %#x, before %#x", p.ID, p.conn.ID, id)
			}
		}
		testkit.Must(t, c.Close())
		if p := testkit.Next(t, packets); p.conn.TCP.State != attr.TCPFinWait {
			t.Errorf("packet %d: %v, want FIN_WAIT", p.ID, p.conn.TCP.State)
		}
	})
}

// The answer of a closed port belongs to the connection that it is about.
func TestConntrackRelatesAnICMPError(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
		packets := follow(t, n, 0, nfqueue.Accept())
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.Tracked(^lab.Untracked), lab.Queue(0))
		c, err := n.Dial("udp", v.Address())
		testkit.Must(t, err)
		defer c.Close()
		endtoend.Send(t, c, "anybody there?")
		question, answer := testkit.Next(t, packets), testkit.Next(t, packets)
		wantInfo(t, question, attr.InfoNew)
		wantInfo(t, answer, attr.InfoRelatedReply)
		if answer.conn.ID != question.conn.ID || answer.conn.Original != question.conn.Original {
			t.Errorf("the answer is of %#x, %v, the question of %#x, %v", answer.conn.ID, answer.conn.Original, question.conn.ID, question.conn.Original)
		}
	})
}

func TestConntrackTellsTheZone(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, -300, []lab.Term{lab.UDP(9999), lab.SetZone(9)})
	packets := follow(t, n, 0, nfqueue.Accept())
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(0))
	pc, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, c, "a")
	endtoend.WantReceived(t, pc, "a")
	endtoend.Send(t, c, "b")
	first, second := testkit.Next(t, packets), testkit.Next(t, packets)
	wantInfo(t, first, attr.InfoNew)
	wantInfo(t, second, attr.InfoNew) // there was no reply
	if first.conn.Zone != 9 || second.conn.Zone != 9 || first.conn.ID != second.conn.ID {
		t.Errorf("zone %d of connection %#x, then %d of %#x", first.conn.Zone, first.conn.ID, second.conn.Zone, second.conn.ID)
	}
}
