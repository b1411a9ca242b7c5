//go:build linux

package conntrack

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// What "ct state new" brings: of TCP the SYN alone, of UDP all packets until the
// first answer.
func TestWhichPacketsAreNewToConnectionTracking(t *testing.T) {
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.Tracked(lab.New), lab.Log(5, "", 0, 0))

	client, server := endtoend.TCPPair(t, n, n, "127.0.0.1:9999")
	endtoend.Send(t, client, "data")
	_, err := server.Read(make([]byte, 4))
	testkit.Must(t, err)
	client.Close()
	server.Close()
	if f, _ := nfnl.ParseFlow(endtoend.NextLogged(t, r, 1)[0].Payload); f.TCPFlags != nfnl.TCPSyn {
		t.Errorf("the first new packet is %v, %v", f, f.TCPFlags)
	}

	to, from := endtoend.UDPPair(t, n, "udp", "127.0.0.1:9999")
	endtoend.Send(t, from, "first", "second")
	endtoend.WantReceived(t, to, "first", "second")
	_, err = to.WriteTo([]byte("answer"), from.LocalAddr())
	testkit.Must(t, err)
	endtoend.Send(t, from, "third")
	endtoend.WantReceived(t, to, "third")
	other, err := n.Dial("udp", "127.0.0.1:9999")
	testkit.Must(t, err)
	defer other.Close()
	endtoend.Send(t, other, "of another")
	for i, want := range []string{"first", "second", "of another"} {
		if got := endtoend.IPv4.Bodies(endtoend.NextLogged(t, r, 1))[0]; got != want {
			t.Fatalf("new packet %d is %q, want %q", i+1, got, want)
		}
	}
}

// A handler that has seen enough of a connection marks it, and a rule in front of
// the queue rule keeps its other packets from the queue.
func TestMarkedConnectionIsNotQueuedAnyMore(t *testing.T) {
	const done, enough = 1, 2
	n := endtoend.NewNet(t)
	cfg := nfqueue.Config{Queue: 7, ConntrackVerdicts: true}
	endtoend.NeedConntrack(t, n, cfg)
	q := endtoend.OpenQueue(t, n, cfg)
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	testkit.Must(t, err)
	_, err = chain.Add(lab.CTMark(done), lab.Accept())
	testkit.Must(t, err)
	queued, err := chain.Add(lab.Queue(7))
	testkit.Must(t, err)
	seen := map[uint16]int{} // by the client's port
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		f, _ := nfnl.ParseFlow(p.Payload)
		if seen[f.Src.Port()]++; seen[f.Src.Port()] == enough {
			return nfqueue.Accept().WithConntrackMark(done, 0xffffffff)
		}
		return nfqueue.Accept()
	})
	to, one := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	other, err := n.Dial("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	defer other.Close()
	for range 5 {
		for _, from := range []net.Conn{one, other} {
			endtoend.Send(t, from, "x")
			endtoend.WantReceived(t, to, "x")
		}
	}
	endtoend.WantPackets(t, queued, 2*enough)
}
