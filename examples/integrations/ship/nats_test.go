//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
)

// Without a URL the records of real packets are in the program's own store, also
// when it starts again, and the consumer prints each once.
func TestEmbeddedServerKeepsAndPrints(t *testing.T) {
	rule := logged(t)
	dir := t.TempDir()
	for range 2 {
		sink, err := newNATS("", dir, "h", logGroup, 1, time.Minute)
		must(t, err)
		s := startShipper(t, sink, 10_000)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		flood(ctx, t, 1000)
		cancel()
		s.stop()
		must(t, sink.Close())
		if c := s.sender.Counts(); c.Acknowledged == 0 || c.Dropped+c.Left+c.Retries != 0 {
			t.Errorf("got %v", c)
		}
	}
	packets, err := rule.Packets()
	must(t, err)

	sink, err := newNATS("", dir, "h", logGroup, 1, time.Minute)
	must(t, err)
	defer sink.Close()
	for _, want := range []uint64{packets, 0} { // the second time there is nothing new
		if got := printed(t, fmt.Sprintf("nats://127.0.0.1:%d", *port), want); got != want {
			t.Errorf("%d records were printed, want %d", got, want)
		}
	}
}

// printed returns how many records the consumer prints, once it is some or for a
// while.
func printed(t *testing.T, url string, some uint64) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if some == 0 {
		ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
	}
	var out bytes.Buffer
	must(t, printStream(ctx, url, "test", writer(func(b []byte) (int, error) {
		out.Write(b)
		if n := strings.Count(out.String(), `"nflog.prefix":"flood "`); some > 0 && uint64(n) >= some {
			time.AfterFunc(100*time.Millisecond, cancel) // the acknowledgement is on its way
		}
		return len(b), nil
	})))
	return uint64(strings.Count(out.String(), `"destination.port":9999`))
}

// writer is an io.Writer that is a function.
type writer func(b []byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// Three real servers, 20,000 records a second: one is killed, then all of them for
// ten seconds. What was acknowledged is there once, what found no room in the ring
// is counted.
func TestClusterIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	rule := logged(t)
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = newNode(t, i, len(nodes), t.TempDir())
		nodes[i].start()
	}
	const url = "nats://127.0.0.1:4300,nats://127.0.0.1:4301,nats://127.0.0.1:4302"
	sink, err := newNATS(url, "", "h", logGroup, 3, 10*time.Minute)
	must(t, err)
	defer sink.Close()
	s := startShipper(t, sink, 50_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	flooded := make(chan struct{})
	go func() { flood(ctx, t, 20_000); close(flooded) }()
	acknowledged := func(n uint64) func() bool {
		return func() bool { return s.sender.Counts().Acknowledged >= n }
	}
	until(t, "records are acknowledged", acknowledged(20_000))

	nodes[0].kill()
	before := s.sender.Counts().Acknowledged
	until(t, "two servers go on without the third", acknowledged(before+20_000))
	nodes[0].start()
	for _, d := range nodes {
		d.kill()
	}
	time.Sleep(10 * time.Second)
	for _, d := range nodes {
		d.start()
	}
	before = s.sender.Counts().Acknowledged
	until(t, "it goes on", acknowledged(before+1000))
	cancel()
	<-flooded
	until(t, "all is sent", func() bool { return s.sender.Counts().Left == 0 })
	s.stop()
	account(t, rule, s, stored(t, url))
	if c := s.sender.Counts(); c.Dropped == 0 || c.Retries == 0 {
		t.Errorf("got %v; this test is about drops and records that are sent again", c)
	}
}

// A server whose disk somebody else fills stores what it acknowledges; when there is
// room again the rest follows.
func TestDiskIsFull(t *testing.T) {
	rule := logged(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("it needs a small disk, which only root can make: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	d := newNode(t, 0, 1, dir)
	d.start()
	const url = "nats://127.0.0.1:4300"
	sink, err := newNATS(url, "", "h", logGroup, 1, 10*time.Minute)
	must(t, err)
	defer sink.Close()
	until(t, "the server is there", sink.conn.IsConnected)
	s := startShipper(t, sink, 5000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	flooded := make(chan struct{})
	go func() { flood(ctx, t, 5000); close(flooded) }()
	until(t, "records are acknowledged", func() bool { return s.sender.Counts().Acknowledged > 1000 })

	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, make([]byte, 32<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	until(t, "the ring is full too", func() bool { return s.sender.Counts().Dropped > 0 })
	cancel()
	<-flooded
	must(t, os.Remove(junk))
	d.kill() // as an operator would: a server whose disk was full takes no more by itself
	d.start()
	until(t, "all is sent", func() bool { return s.sender.Counts().Left == 0 })
	s.stop()
	account(t, rule, s, stored(t, url))
}

// The program ends with what it has done, as a user sees it.
func TestProgramShipsUntilItIsStopped(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-dir", t.TempDir())
	c, err := n.Dial("tcp", "127.0.0.1:9") // nobody listens; its SYN is logged
	if err == nil {
		c.Close()
	}
	p.Stop()
	if got := p.Log(); !strings.Contains(got, "1 packets, 0 lost in the kernel; 1 acknowledged, 0 dropped, 0 left") {
		t.Errorf("the program said %q", got)
	}
}

// The rules that the program prints are those of its comment, and nft and iptables
// take them.
func TestRules(t *testing.T) { exampletest.CheckRules(t) }
