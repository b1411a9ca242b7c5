//go:build linux

package endtoend

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// The rules behind the queue rule are met by a packet that is repeated with a bit
// of its mark set, which the queue rule does not match. Other bits stay.
func TestPacketGoesOnBehindTheQueueRule(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		const seen, theirs = 0x1, 0xab00
		n := newNet(t)
		q := openQueue(t, n, nfqueue.Config{Queue: 7})
		chain, err := n.Chain(v.family, lab.Output, 0)
		must(t, err)
		add := func(terms ...lab.Term) *lab.Rule {
			r, err := chain.Add(terms...)
			must(t, err)
			return r
		}
		add(lab.UDP(9999), lab.Mark(0), lab.SetMark(theirs))
		queued := add(lab.UDP(9999), lab.MarkBits(0, seen), lab.Queue(7))
		behind := add(lab.UDP(9999), lab.Mark(theirs|seen))
		runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Repeat().WithMark(p.Mark | seen)
		})
		to, from := udpPair(t, n, "udp", v.address())
		send(t, from, "a", "b", "c")
		wantReceived(t, to, "a", "b", "c")
		wantPackets(t, queued, 3)
		wantPackets(t, behind, 3)
	})
}

// A verdict's mark replaces the packet's; what it is to keep, the handler takes
// from the packet.
func TestOtherBitsOfTheMarkAreKept(t *testing.T) {
	const mask, value = 0x00ff0000, 0x00120000
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{Queue: 7})
	before, err := l.net.Chain(lab.IPv4, lab.Output, -10)
	must(t, err)
	_, err = before.Add(lab.SetMark(0xabcdef01))
	must(t, err)
	kept := addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(0xab12ef01))
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithMark(p.Mark&^mask | value)
	})
	send(t, l.from, "x")
	wantReceived(t, l.to, "x")
	wantPackets(t, kept, 1)
}

// dialMarked returns a connection whose packets carry a mark (SO_MARK).
func dialMarked(n *lab.Net, address string, mark int) (c net.Conn, err error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }); e != nil {
			return e
		}
		return err
	}}
	err = n.Do(func() error {
		c, err = d.DialContext(context.Background(), "udp", address)
		return err
	})
	return c, err
}

// What the program itself sends would come back to its queue, and what its handler
// sends on that again; a mark on its socket and a rule in front let it pass.
func TestOwnPacketsPassTheQueueRule(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		const own = 0x2
		n := newNet(t)
		q := openQueue(t, n, nfqueue.Config{Queue: 7})
		chain, err := n.Chain(v.family, lab.Output, 0)
		must(t, err)
		passed, err := chain.Add(lab.UDP(9999), lab.MarkBits(own, own), lab.Accept())
		must(t, err)
		_, err = chain.Add(lab.UDP(9999), lab.Queue(7))
		must(t, err)
		to, from := udpPair(t, n, "udp", v.address())
		program, err := dialMarked(n, v.address(), own)
		must(t, err)
		defer program.Close()
		var calls atomic.Int32
		runQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
			calls.Add(1)
			if _, err := program.Write([]byte("seen")); err != nil {
				t.Error(err)
			}
			return nfqueue.Accept()
		})
		for range 3 {
			send(t, from, "x")
			wantReceived(t, to, "seen", "x")
		}
		wantPackets(t, passed, 3)
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
			n := newNet(t)
			for device, prefix := range map[string]string{"old": "192.0.2.1/24", "new": "198.51.100.1/24"} {
				must(t, n.Veth(device, n, device+"-end"))
				must(t, n.Up(device+"-end"))
				must(t, n.Up(device))
				must(t, n.AddAddr(device, netip.MustParsePrefix(prefix)))
			}
			must(t, n.AddRoute(far, netip.MustParseAddr("192.0.2.2")))
			must(t, n.RouteMarked(mark, far, "new"))
			q := openQueue(t, n, nfqueue.Config{Queue: 7})
			runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return c.v })
			runQueue(t, openQueue(t, n, nfqueue.Config{Queue: 8}), accept)
			addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Mark(0), lab.Queue(7))
			byOld := addRule(t, n, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Out("old"))
			byNew := addRule(t, n, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Out("new"))
			conn, err := n.Dial("udp", "203.0.113.1:9999")
			must(t, err)
			defer conn.Close()
			send(t, conn, "x")
			await(t, "for the packet to leave", func() bool { return packets(t, byOld)+packets(t, byNew) > 0 })
			if again := packets(t, byNew) == 1; again != c.again {
				t.Errorf("left by the new route: %v, want %v", again, c.again)
			}
		})
	}
}
