//go:build linux

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
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

// wantReceived checks which datagrams pc gets next.
func wantReceived(t testing.TB, pc net.PacketConn, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := receive(t, pc); got != w {
			t.Fatalf("received %.40q of %d bytes, want %.40q of %d", got, len(got), w, len(w))
		}
	}
}

// send sends datagrams.
func send(t testing.TB, c net.Conn, datagrams ...string) {
	t.Helper()
	for _, d := range datagrams {
		_, err := c.Write([]byte(d))
		must(t, err)
	}
}

// next returns what comes next out of c.
func next[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("what was waited for did not happen")
		panic("unreachable")
	}
}

// await waits until cond holds, for what nothing tells of.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

// wantPackets checks the counter of a rule.
func wantPackets(t testing.TB, r *lab.Rule, want uint64) {
	t.Helper()
	got, err := r.Packets()
	must(t, err)
	if got != want {
		t.Errorf("the rule met %d packets, want %d", got, want)
	}
}

// A collector collects the errors told to Config.OnError.
type collector struct {
	mu   sync.Mutex
	errs []error
}

func (c *collector) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// count returns how many of the errors match target.
func (c *collector) count(target error) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.errs {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}

// wantOnly fails the test unless errors were told, and all match target.
func (c *collector) wantOnly(t testing.TB, target error) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errs) == 0 {
		t.Errorf("OnError was not told of: %v", target)
	}
	for _, err := range c.errs {
		if !errors.Is(err, target) {
			t.Errorf("OnError was told %q, want only: %v", err, target)
		}
	}
}

func TestAcceptedPacketArrives(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLane(t, v, lab.Output, nfqueue.Config{Queue: 7})
		families := make(chan nfnl.Family, 1)
		runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			families <- p.Family
			return nfqueue.Accept()
		})
		send(t, l.from, "hello")
		wantReceived(t, l.to, "hello")
		if got := <-families; got != v.packets {
			t.Errorf("family %v, want %v", got, v.packets)
		}
	})
}
