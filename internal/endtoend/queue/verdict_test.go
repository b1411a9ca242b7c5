//go:build linux

package queue

import (
	"encoding/binary"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// verdictOnce returns a handler that gives v to the first packet, and accepts
// the others.
func verdictOnce(v nfqueue.Verdict) nfqueue.Handler {
	return func(*nfqueue.Packet) nfqueue.Verdict {
		defer func() { v = nfqueue.Accept() }()
		return v
	}
}

// No verdict of the library is one that the kernel refuses, so this one is sent
// past it, in the library's name.
func TestPacketWhoseVerdictTheKernelRefusesGetsTheFallback(t *testing.T) {
	n := endtoend.NewNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	var reported testkit.Errors
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, Fallback: nfqueue.Accept().WithMark(5), OnError: reported.Add})
	testkit.Must(t, err)
	defer q.Close()
	endtoend.AddRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(7))
	behind, err := n.Chain(lab.IPv4, lab.Input, 100)
	testkit.Must(t, err)
	marked, err := behind.Add(lab.Mark(5))
	testkit.Must(t, err)
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	stop := endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		const noSuchVerdict = 99
		header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, noSuchVerdict), p.ID)
		verdict := nfnl.Message{
			Type:     0x0301, // NFQNL_MSG_VERDICT
			Flags:    syscall.NLM_F_REQUEST,
			Seq:      p.ID,
			Resource: p.Queue,
			Attrs:    attr.AppendBytes(nil, 2, header), // NFQA_VERDICT_HDR
		}
		if _, err := conn.Send(verdict.Append(nil)); err != nil {
			t.Error(err)
		}
		return nfqueue.Hold()
	})
	endtoend.Send(t, from, "hello")
	endtoend.WantReceived(t, to, "hello")
	stop()
	endtoend.WantPackets(t, marked, 1)
	reported.WantOnly(t, syscall.EINVAL)
	if s := q.Stats(); s.Refused != 1 || s.Fallbacks != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestVerdictDecidesWhereThePacketGoes(t *testing.T) {
	const mark = 0xc0ffee
	for _, c := range []struct {
		name        string
		verdict     nfqueue.Verdict
		chain, hook uint64 // packets that a later chain, and a later hook, see
		marked      uint64 // and how many of those at the later hook are marked
	}{
		{"accept", nfqueue.Accept(), 1, 1, 0},
		{"accept with mark", nfqueue.Accept().WithMark(mark), 1, 1, 1},
		{"drop", nfqueue.Drop(), 0, 0, 0},
		{"the zero verdict", nfqueue.Verdict{}, 0, 0, 0},
		{"stop", nfqueue.Stop(), 0, 1, 0},
		{"stop with mark", nfqueue.Stop().WithMark(mark), 0, 1, 1},
		{"requeue to nobody", nfqueue.Requeue(99), 0, 0, 0},
		{"requeue to nobody or accept", nfqueue.RequeueOrAccept(99).WithMark(mark), 1, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
				l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
				later, err := l.Net.Chain(v.Family, lab.Output, 10)
				testkit.Must(t, err)
				chain, err := later.Add(lab.UDP(9999))
				testkit.Must(t, err)
				hook := endtoend.AddRule(t, l.Net, v.Family, lab.Postrouting, lab.UDP(9999))
				marked := endtoend.AddRule(t, l.Net, v.Family, lab.Postrouting, lab.UDP(9999), lab.Mark(mark))

				endtoend.RunQueue(t, l.Queue, verdictOnce(c.verdict))
				endtoend.Send(t, l.From, "first", "second")
				if c.hook > 0 {
					endtoend.WantReceived(t, l.To, "first")
				}
				endtoend.WantReceived(t, l.To, "second")
				endtoend.WantPackets(t, chain, c.chain+1)
				endtoend.WantPackets(t, hook, c.hook+1)
				endtoend.WantPackets(t, marked, c.marked)
			})
		})
	}
}

// Another queue, at a later hook, sees what the first has changed. Priorities are
// of kernel 5.18; older ones pass over them.
func TestMarkAndPriorityReachLaterQueues(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
		second := endtoend.OpenQueue(t, l.Net, nfqueue.Config{Queue: 1})
		endtoend.AddRule(t, l.Net, v.Family, lab.Postrouting, lab.UDP(9999), lab.Queue(1))

		endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithMark(0x01020304).WithPriority(0x05060708)
		})
		type seen struct{ mark, priority uint32 }
		got := make(chan seen, 1)
		endtoend.RunQueue(t, second, func(p *nfqueue.Packet) nfqueue.Verdict {
			got <- seen{p.Mark, p.Priority}
			return nfqueue.Accept()
		})
		endtoend.Send(t, l.From, "x")
		endtoend.WantReceived(t, l.To, "x")
		want := seen{0x01020304, 0x05060708}
		if !diagnose.KernelAtLeast(5, 18) {
			want.priority = 0
		}
		if got := testkit.Next(t, got); got != want {
			t.Errorf("the second queue saw %#x, want %#x", got, want)
		}
	})
}

// A rule that lets a mark through ends the circle of a repeated packet.
func TestRepeatedPacketComesAgainUntilMarked(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		const done = 1
		n := endtoend.NewNet(t)
		q := endtoend.OpenQueue(t, n, nfqueue.Config{})
		chain, err := n.Chain(v.Family, lab.Output, 0)
		testkit.Must(t, err)
		_, err = chain.Add(lab.Mark(done), lab.Accept())
		testkit.Must(t, err)
		queued, err := chain.Add(lab.UDP(9999), lab.Queue(0))
		testkit.Must(t, err)
		pc, s := endtoend.UDPPair(t, n, "udp", v.Address())

		ids := make(chan uint32, 10)
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			ids <- p.ID
			if len(ids) < 3 {
				return nfqueue.Repeat()
			}
			return nfqueue.Repeat().WithMark(done)
		})
		endtoend.Send(t, s, "x")
		endtoend.WantReceived(t, pc, "x")
		if got := []uint32{testkit.Next(t, ids), testkit.Next(t, ids), testkit.Next(t, ids)}; !slices.Equal(got, []uint32{1, 2, 3}) {
			t.Errorf("IDs %d, want a new one each time: 1, 2, 3", got)
		}
		endtoend.WantPackets(t, queued, 3)
	})
}

func TestRequeuedPacketReachesTheOtherQueue(t *testing.T) {
	for name, verdict := range map[string]nfqueue.Verdict{
		"requeue":           nfqueue.Requeue(1).WithMark(5),
		"requeue or accept": nfqueue.RequeueOrAccept(1).WithMark(5),
	} {
		t.Run(name, func(t *testing.T) {
			endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
				l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{})
				other := endtoend.OpenQueue(t, l.Net, nfqueue.Config{Queue: 1})
				endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict { return verdict })
				marks := make(chan uint32, 2)
				endtoend.RunQueue(t, other, func(p *nfqueue.Packet) nfqueue.Verdict {
					marks <- p.Mark
					return nfqueue.Accept()
				})
				endtoend.Send(t, l.From, "x")
				endtoend.WantReceived(t, l.To, "x")
				if mark := testkit.Next(t, marks); mark != 5 {
					t.Errorf("the other queue saw mark %d, want 5", mark)
				}
			})
		})
	}
}
