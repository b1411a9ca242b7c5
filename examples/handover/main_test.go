//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

// worker returns the process ID of the next worker.
func worker(t *testing.T, p *exampletest.Process) (pid int) {
	t.Helper()
	if _, err := fmt.Sscanf(p.Next(), "worker %d", &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// Workers come and go in the middle of traffic, asked to and killed. Every packet
// is decided: all arrive, each once.
func TestEveryPacketIsDecidedAcrossWorkers(t *testing.T) {
	const packets, changes = 4000, 8
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	to, from := exampletest.UDP(t, n, "127.0.0.1:53")
	current := worker(t, p)
	var sent, arrived atomic.Int64
	var traffic sync.WaitGroup
	traffic.Go(func() { receive(t, to, packets, &arrived) })
	traffic.Go(func() {
		for _, text := range exampletest.Numbers(packets) {
			from.Write([]byte(text))
			// While there is no worker, no more than a small buffer has room for.
			for sent.Add(1); sent.Load()-arrived.Load() > 40 && !t.Failed(); {
				time.Sleep(50 * time.Microsecond)
			}
		}
	})
	for i := range int64(changes) {
		for sent.Load() < (i+1)*packets/(changes+1) && !t.Failed() {
			time.Sleep(50 * time.Microsecond)
		}
		if i%2 == 0 {
			testkit.Must(t, p.Cmd.Process.Signal(syscall.SIGHUP)) // the keeper makes it SIGTERM
		} else {
			testkit.Must(t, syscall.Kill(current, syscall.SIGKILL))
		}
		current = worker(t, p)
	}
	traffic.Wait()
}

// receive receives until each of the packets has come, once.
func receive(t *testing.T, to net.PacketConn, packets int, arrived *atomic.Int64) {
	seen := map[string]bool{}
	b := make([]byte, 64)
	for len(seen) < packets {
		to.SetReadDeadline(time.Now().Add(testkit.Patience))
		l, _, err := to.ReadFrom(b)
		if err != nil {
			t.Errorf("%d of %d packets arrived: %v", len(seen), packets, err)
			return
		}
		text := string(b[:l])
		if seen[text] {
			t.Errorf("packet %s came twice", text)
		}
		seen[text] = true
		arrived.Store(int64(len(seen)))
	}
}

func TestKeeperLeavesNoProcess(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	pid := worker(t, p)
	p.Stop()
	if _, err := os.Stat(fmt.Sprint("/proc/", pid)); err == nil {
		t.Error("the worker is still there")
	}
}

// A keeper that is killed takes its worker along, or the next would find the queue
// taken.
func TestKilledKeeperCanBeStartedAgain(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	pid := worker(t, p)
	testkit.Must(t, p.Cmd.Process.Kill())
	for end := time.Now().Add(testkit.Patience); !gone(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the worker outlives its keeper")
		}
	}
	p.Kill()
	worker(t, exampletest.Run(t, n))
}

// gone reports whether a process has ended, which one that nobody waits for has too.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
