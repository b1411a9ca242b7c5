//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

var cost = flag.Bool("cost", false, "measure what a cluster costs: the table of the README")

// Hosts share three servers, which store everything. With -cost it measures what
// 20,000 records a second in all cost these, from 1, 10 and 100 hosts.
func TestCostOfACluster(t *testing.T) {
	lab.Require(t)
	counts, perSecond, duration := []int{10}, 2000, time.Second
	if *cost {
		counts, perSecond, duration = []int{1, 10, 100}, 20_000, 10*time.Second
	}
	for _, hosts := range counts {
		nodes := make([]*node, 3)
		for i := range nodes {
			nodes[i] = newNode(t, i, len(nodes), t.TempDir())
			nodes[i].start()
		}
		measure(t, hosts, perSecond, duration, nodes)
		for _, d := range nodes {
			d.kill()
		}
	}
}

// measure prints a row of the table.
func measure(t *testing.T, hosts, perSecond int, duration time.Duration, nodes []*node) {
	t.Helper()
	senders := make([]*Sender, hosts)
	for i := range senders {
		origin := Origin{Host: fmt.Sprintf("host-%d", i), Bound: "b"}
		sink, err := newNATS("nats://127.0.0.1:4300,nats://127.0.0.1:4301,nats://127.0.0.1:4302", "", origin.Host, logGroup, 3, time.Minute)
		must(t, err)
		defer sink.Close()
		senders[i] = &Sender{Ring: NewRing(100_000, origin.blocks()), Sink: sink, Tally: newTally(t)}
		senders[i].Ring.Add(Record{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, s := range senders {
		running.Go(func() { s.Run(ctx) })
	}
	for _, s := range senders {
		until(t, "the stream is there", func() bool { return s.Counts().Acknowledged == 1 })
	}
	begin := processors(t, nodes)
	added := 0
	for start := time.Now(); time.Since(start) < duration; time.Sleep(time.Millisecond) {
		for ; added < int(time.Since(start).Seconds()*float64(perSecond)); added++ {
			senders[added%hosts].Ring.Add(typical(added))
		}
	}
	used := processors(t, nodes) - begin
	var sum Counts
	for _, s := range senders {
		until(t, "all is sent", func() bool { return s.Counts().Left == 0 })
		sum.Acknowledged += s.Counts().Acknowledged
		sum.Dropped += s.Counts().Dropped
	}
	if sum.Acknowledged+sum.Dropped != uint64(hosts+added) {
		t.Errorf("of %d records %v", hosts+added, sum)
	}
	fmt.Printf("| %d | %d | %d | %.0f %% | %d MB |\n", hosts, sum.Acknowledged/uint64(duration.Seconds()), sum.Dropped,
		100*used/duration.Seconds(), resident(t, nodes)>>20)
}

// typical is a record as they are.
func typical(i int) Record {
	uid := int64(1000)
	return Record{ID: fmt.Sprint("host-1/0f5c2b1e-dk3j2k1h/5/", i), Time: time.Now(), Host: "host-1", Group: 5, Seq: uint32(i), Prefix: "connect ",
		Hook: "output", Out: "eth0", UID: &uid, Proto: "tcp", Src: "192.0.2.17", SrcPort: 40000, Dst: "198.51.100.4", DstPort: 443, Length: 60}
}

// processors returns the seconds of processors that the servers have used.
func processors(t *testing.T, nodes []*node) (seconds float64) {
	for _, d := range nodes {
		f := stat(t, d)
		for _, field := range []int{13, 14} { // utime, stime in 1/100 s, proc(5)
			n, err := strconv.Atoi(f[field])
			must(t, err)
			seconds += float64(n) / 100
		}
	}
	return seconds
}

// resident returns the memory of the servers, in bytes.
func resident(t *testing.T, nodes []*node) (bytes int) {
	for _, d := range nodes {
		pages, err := strconv.Atoi(stat(t, d)[23])
		must(t, err)
		bytes += pages * os.Getpagesize()
	}
	return bytes
}

// stat returns the fields of /proc/PID/stat.
func stat(t *testing.T, d *node) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	must(t, err)
	return strings.Fields(string(b))
}
