//go:build linux

// Package nfpacket has the tests of the whole library against the running
// kernel, each in a network namespace of its own. They need no root: see
// internal/lab.
package nfpacket

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestMain(m *testing.M) {
	status := lab.TestMain(leakCheck{m})
	os.Exit(status)
}

// leakCheck fails the run if the tests leave descriptors or goroutines behind.
type leakCheck struct{ m *testing.M }

func (l leakCheck) Run() int {
	check := lab.NoLeaks()
	status := l.m.Run()
	if err := check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newNet returns a network namespace that ends with the test.
func newNet(t testing.TB) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// openQueue opens a queue in n; it is closed with the test.
func openQueue(t testing.TB, n *lab.Net, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	q, err := nfqueue.Open(cfg)
	must(t, err)
	t.Cleanup(func() { q.Close() })
	return q
}

// runQueue runs h in the background until the test ends, or stop is called,
// which returns Run's error.
func runQueue(t testing.TB, q *nfqueue.Queue, h nfqueue.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx, h) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			t.Error("Run did not return")
			return nil
		}
	}
	t.Cleanup(func() { stop() })
	return stop
}

// addRule adds a base chain at a hook, and a rule to it.
func addRule(t testing.TB, n *lab.Net, f lab.Family, h lab.Hook, terms ...lab.Term) *lab.Rule {
	t.Helper()
	c, err := n.Chain(f, h, 0)
	must(t, err)
	r, err := c.Add(terms...)
	must(t, err)
	return r
}

// udpPair returns a receiver at address, and a sender connected to it.
func udpPair(t testing.TB, n *lab.Net, network, address string) (net.PacketConn, net.Conn) {
	t.Helper()
	pc, err := n.ListenPacket(network, address)
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	c, err := n.Dial(network, address)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return pc, c
}

// receive returns the next datagram that pc gets.
func receive(t testing.TB, pc net.PacketConn) string {
	t.Helper()
	b := make([]byte, 1<<16)
	must(t, pc.SetReadDeadline(time.Now().Add(patience)))
	n, _, err := pc.ReadFrom(b)
	must(t, err)
	return string(b[:n])
}

func TestAcceptedPacketArrives(t *testing.T) {
	for _, c := range []struct {
		name    string
		family  lab.Family
		packets nfnl.Family
		address string
	}{
		{"IPv4", lab.IPv4, nfnl.IPv4, "127.0.0.1:9999"},
		{"IPv6", lab.IPv6, nfnl.IPv6, "[::1]:9999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t)
			q := openQueue(t, n, nfqueue.Config{Queue: 7})
			addRule(t, n, c.family, lab.Output, lab.UDP(9999), lab.Queue(7))
			pc, s := udpPair(t, n, "udp", c.address)
			families := make(chan nfnl.Family, 1)
			runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				families <- p.Family
				return nfqueue.Accept()
			})
			_, err := s.Write([]byte("hello"))
			must(t, err)
			if got := receive(t, pc); got != "hello" {
				t.Errorf("received %q", got)
			}
			if got := <-families; got != c.packets {
				t.Errorf("family %v, want %v", got, c.packets)
			}
		})
	}
}
