//go:build linux

package endtoend

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// What "ct state new" brings: of TCP the SYN alone, of UDP all packets until the
// first answer.
func TestWhichPacketsAreNewToConnectionTracking(t *testing.T) {
	n := newNet(t)
	r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	addRule(t, n, lab.IPv4, lab.Output, lab.Tracked(lab.New), lab.Log(5, "", 0, 0))

	client, server := tcpPair(t, n, n, "127.0.0.1:9999")
	send(t, client, "data")
	_, err := server.Read(make([]byte, 4))
	must(t, err)
	client.Close()
	server.Close()
	if f, _ := nfnl.ParseFlow(logged(t, r, 1)[0].Payload); f.TCPFlags != nfnl.TCPSyn {
		t.Errorf("the first new packet is %v, %v", f, f.TCPFlags)
	}

	to, from := udpPair(t, n, "udp", "127.0.0.1:9999")
	send(t, from, "first", "second")
	wantReceived(t, to, "first", "second")
	_, err = to.WriteTo([]byte("answer"), from.LocalAddr())
	must(t, err)
	send(t, from, "third")
	wantReceived(t, to, "third")
	other, err := n.Dial("udp", "127.0.0.1:9999")
	must(t, err)
	defer other.Close()
	send(t, other, "of another")
	for i, want := range []string{"first", "second", "of another"} {
		if got := ipv4.bodies(logged(t, r, 1))[0]; got != want {
			t.Fatalf("new packet %d is %q, want %q", i+1, got, want)
		}
	}
}

// A handler that has seen enough of a connection marks it, and a rule in front of
// the queue rule keeps its other packets from the queue.
func TestMarkedConnectionIsNotQueuedAnyMore(t *testing.T) {
	const done, enough = 1, 2
	n := newNet(t)
	cfg := nfqueue.Config{Queue: 7, ConntrackVerdicts: true}
	needConntrack(t, n, cfg)
	q := openQueue(t, n, cfg)
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	must(t, err)
	_, err = chain.Add(lab.CTMark(done), lab.Accept())
	must(t, err)
	queued, err := chain.Add(lab.Queue(7))
	must(t, err)
	seen := map[uint16]int{} // by the client's port
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		f, _ := nfnl.ParseFlow(p.Payload)
		if seen[f.Src.Port()]++; seen[f.Src.Port()] == enough {
			return nfqueue.Accept().WithConntrackMark(done, 0xffffffff)
		}
		return nfqueue.Accept()
	})
	to, one := udpPair(t, n, "udp", ipv4.address())
	other, err := n.Dial("udp", ipv4.address())
	must(t, err)
	defer other.Close()
	for range 5 {
		for _, from := range []net.Conn{one, other} {
			send(t, from, "x")
			wantReceived(t, to, "x")
		}
	}
	wantPackets(t, queued, 2*enough)
}
