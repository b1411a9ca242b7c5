//go:build linux

package endtoend

import (
	"encoding/binary"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/kernelversion"
	"github.com/nfpacket/nfpacket/internal/lab"
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
	n := newNet(t)
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	var told collector
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, Fallback: nfqueue.Accept().WithMark(5), OnError: told.add})
	must(t, err)
	defer q.Close()
	addRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(7))
	behind, err := n.Chain(lab.IPv4, lab.Input, 100)
	must(t, err)
	marked, err := behind.Add(lab.Mark(5))
	must(t, err)
	to, from := udpPair(t, n, "udp", ipv4.address())
	stop := runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		const noSuchVerdict = 99
		header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, noSuchVerdict), p.ID)
		verdict := nfnl.Message{
			Header: nfnl.Header{
				Type:     nfnl.SubsystemQueue<<8 | 1, // NFQNL_MSG_VERDICT
				Flags:    nfnl.FlagRequest,
				Seq:      p.ID,
				Resource: p.Queue,
			},
			Attrs: attr.AppendBytes(nil, 2, header), // NFQA_VERDICT_HDR
		}
		if err := conn.Send(verdict.Append(nil)); err != nil {
			t.Error(err)
		}
		return nfqueue.Hold()
	})
	send(t, from, "hello")
	wantReceived(t, to, "hello")
	stop()
	wantPackets(t, marked, 1)
	told.wantOnly(t, syscall.EINVAL)
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
			eachVersion(t, func(t *testing.T, v ipVersion) {
				l := newLane(t, v, lab.Output, nfqueue.Config{})
				later, err := l.net.Chain(v.family, lab.Output, 10)
				must(t, err)
				chain, err := later.Add(lab.UDP(9999))
				must(t, err)
				hook := addRule(t, l.net, v.family, lab.Postrouting, lab.UDP(9999))
				marked := addRule(t, l.net, v.family, lab.Postrouting, lab.UDP(9999), lab.Mark(mark))

				runQueue(t, l.queue, verdictOnce(c.verdict))
				send(t, l.from, "first", "second")
				if c.hook > 0 {
					wantReceived(t, l.to, "first")
				}
				wantReceived(t, l.to, "second")
				wantPackets(t, chain, c.chain+1)
				wantPackets(t, hook, c.hook+1)
				wantPackets(t, marked, c.marked)
			})
		})
	}
}

// Another queue, at a later hook, sees what the first has changed. Priorities are
// of kernel 5.18; older ones pass over them.
func TestMarkAndPriorityReachLaterQueues(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLane(t, v, lab.Output, nfqueue.Config{})
		second := openQueue(t, l.net, nfqueue.Config{Queue: 1})
		addRule(t, l.net, v.family, lab.Postrouting, lab.UDP(9999), lab.Queue(1))

		runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept().WithMark(0x01020304).WithPriority(0x05060708)
		})
		type seen struct{ mark, priority uint32 }
		got := make(chan seen, 1)
		runQueue(t, second, func(p *nfqueue.Packet) nfqueue.Verdict {
			got <- seen{p.Mark, p.Priority}
			return nfqueue.Accept()
		})
		send(t, l.from, "x")
		wantReceived(t, l.to, "x")
		want := seen{0x01020304, 0x05060708}
		if !kernelversion.AtLeast(5, 18) {
			want.priority = 0
		}
		if got := next(t, got); got != want {
			t.Errorf("the second queue saw %#x, want %#x", got, want)
		}
	})
}

// A rule that lets a mark through ends the circle of a repeated packet.
func TestRepeatedPacketComesAgainUntilMarked(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		const done = 1
		n := newNet(t)
		q := openQueue(t, n, nfqueue.Config{})
		chain, err := n.Chain(v.family, lab.Output, 0)
		must(t, err)
		_, err = chain.Add(lab.Mark(done), lab.Accept())
		must(t, err)
		queued, err := chain.Add(lab.UDP(9999), lab.Queue(0))
		must(t, err)
		pc, s := udpPair(t, n, "udp", v.address())

		ids := make(chan uint32, 10)
		runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			ids <- p.ID
			if len(ids) < 3 {
				return nfqueue.Repeat()
			}
			return nfqueue.Repeat().WithMark(done)
		})
		send(t, s, "x")
		wantReceived(t, pc, "x")
		if got := []uint32{next(t, ids), next(t, ids), next(t, ids)}; !slices.Equal(got, []uint32{1, 2, 3}) {
			t.Errorf("IDs %d, want a new one each time: 1, 2, 3", got)
		}
		wantPackets(t, queued, 3)
	})
}

func TestRequeuedPacketReachesTheOtherQueue(t *testing.T) {
	for name, verdict := range map[string]nfqueue.Verdict{
		"requeue":           nfqueue.Requeue(1).WithMark(5),
		"requeue or accept": nfqueue.RequeueOrAccept(1).WithMark(5),
	} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v ipVersion) {
				l := newLane(t, v, lab.Output, nfqueue.Config{})
				other := openQueue(t, l.net, nfqueue.Config{Queue: 1})
				runQueue(t, l.queue, func(*nfqueue.Packet) nfqueue.Verdict { return verdict })
				marks := make(chan uint32, 2)
				runQueue(t, other, func(p *nfqueue.Packet) nfqueue.Verdict {
					marks <- p.Mark
					return nfqueue.Accept()
				})
				send(t, l.from, "x")
				wantReceived(t, l.to, "x")
				if mark := next(t, marks); mark != 5 {
					t.Errorf("the other queue saw mark %d, want 5", mark)
				}
			})
		})
	}
}
