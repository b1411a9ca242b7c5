//go:build linux

package queue

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The rules behind the queue rule are met by a packet that is repeated with a bit
// of its mark set, which the queue rule does not match. Other bits stay.
func TestPacketGoesOnBehindTheQueueRule(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		const seen, theirs = 0x1, 0xab00
		n := endtoend.NewNet(t)
		q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
		chain, err := n.Chain(v.Family, lab.Output, 0)
		testkit.Must(t, err)
		add := func(terms ...lab.Term) *lab.Rule {
			r, err := chain.Add(terms...)
			testkit.Must(t, err)
			return r
		}
		add(lab.UDP(9999), lab.Mark(0), lab.SetMark(theirs))
		queued := add(lab.UDP(9999), lab.MarkBits(0, seen), lab.Queue(7))
		behind := add(lab.UDP(9999), lab.Mark(theirs|seen))
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Repeat().WithMark(p.Mark | seen)
		})
		to, from := endtoend.UDPPair(t, n, "udp", v.Address())
		endtoend.Send(t, from, "a", "b", "c")
		endtoend.WantReceived(t, to, "a", "b", "c")
		endtoend.WantPackets(t, queued, 3)
		endtoend.WantPackets(t, behind, 3)
	})
}

// A verdict's mark replaces the packet's; what it is to keep, the handler takes
// from the packet.
func TestOtherBitsOfTheMarkAreKept(t *testing.T) {
	const mask, value = 0x00ff0000, 0x00120000
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{Queue: 7})
	before, err := l.Net.Chain(lab.IPv4, lab.Output, -10)
	testkit.Must(t, err)
	_, err = before.Add(lab.SetMark(0xabcdef01))
	testkit.Must(t, err)
	kept := endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(0xab12ef01))
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithMark(p.Mark&^mask | value)
	})
	endtoend.Send(t, l.From, "x")
	endtoend.WantReceived(t, l.To, "x")
	endtoend.WantPackets(t, kept, 1)
}

// What the program itself sends would come back to its queue, and what its handler
// sends on that again; a mark on its socket and a rule in front let it pass.
func TestOwnPacketsPassTheQueueRule(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		const own = 0x2
		n := endtoend.NewNet(t)
		q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
		chain, err := n.Chain(v.Family, lab.Output, 0)
		testkit.Must(t, err)
		passed, err := chain.Add(lab.UDP(9999), lab.MarkBits(own, own), lab.Accept())
		testkit.Must(t, err)
		_, err = chain.Add(lab.UDP(9999), lab.Queue(7))
		testkit.Must(t, err)
		to, from := endtoend.UDPPair(t, n, "udp", v.Address())
		program, err := endtoend.DialMarked(n, v.Address(), own)
		testkit.Must(t, err)
		defer program.Close()
		var calls atomic.Int32
		endtoend.RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
			calls.Add(1)
			if _, err := program.Write([]byte("seen")); err != nil {
				t.Error(err)
			}
			return nfqueue.Accept()
		})
		for range 3 {
			endtoend.Send(t, from, "x")
			endtoend.WantReceived(t, to, "seen", "x")
		}
		endtoend.WantPackets(t, passed, 3)
		if n := calls.Load(); n != 3 {
			t.Errorf("the handler was called %d times, want 3", n)
		}
	})
}

// At output a changed mark makes the kernel choose the route again, but only with
// Accept and Repeat (nf_reinject). A queue that the packet goes on to takes the
// new mark for the old one.
func TestChangedMarkRoutesAgainWithAcceptAndRepeat(t *testing.T) {
	const mark = 7
	far := netip.MustParsePrefix("203.0.113.0/24")
	for name, c := range map[string]struct {
		v     nfqueue.Verdict
		again bool
	}{
		"accept":                      {nfqueue.Accept().WithMark(mark), true},
		"accept without a mark":       {nfqueue.Accept(), false},
		"repeat":                      {nfqueue.Repeat().WithMark(mark), true},
		"stop":                        {nfqueue.Stop().WithMark(mark), false},
		"requeue":                     {nfqueue.Requeue(8).WithMark(mark), false},
		"requeue or accept, listener": {nfqueue.RequeueOrAccept(8).WithMark(mark), false},
		"requeue or accept, nobody":   {nfqueue.RequeueOrAccept(99).WithMark(mark), false},
	} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			for device, prefix := range map[string]string{"old": "192.0.2.1/24", "new": "198.51.100.1/24"} {
				testkit.Must(t, n.Veth(device, n, device+"-end"))
				testkit.Must(t, n.Up(device+"-end"))
				testkit.Must(t, n.Up(device))
				testkit.Must(t, n.AddAddr(device, netip.MustParsePrefix(prefix)))
			}
			testkit.Must(t, n.AddRoute(far, netip.MustParseAddr("192.0.2.2")))
			testkit.Must(t, n.RouteMarked(mark, far, "new"))
			q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return c.v })
			endtoend.RunQueue(t, endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 8}), endtoend.Accept)
			endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Mark(0), lab.Queue(7))
			byOld := endtoend.AddRule(t, n, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Out("old"))
			byNew := endtoend.AddRule(t, n, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Out("new"))
			conn, err := n.Dial("udp", "203.0.113.1:9999")
			testkit.Must(t, err)
			defer conn.Close()
			endtoend.Send(t, conn, "x")
			testkit.Await(t, "for the packet to leave", func() bool { return endtoend.Packets(t, byOld)+endtoend.Packets(t, byNew) > 0 })
			if again := endtoend.Packets(t, byNew) == 1; again != c.again {
				t.Errorf("left by the new route: %v, want %v", again, c.again)
			}
		})
	}
}
