//go:build linux

package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// The rules depend on the number of processors, the comment has those for four.
func TestRulesHaveAQueueForEachProcessor(t *testing.T) {
	last := max(2, runtime.NumCPU()) - 1
	shown := exampletest.Shown(t)
	for _, want := range []string{
		fmt.Sprintf("add rule inet nfpacket_fanout input meta l4proto udp queue flags bypass,fanout to 0-%d\n", last),
		fmt.Sprintf("iptables -A INPUT -p udp -j NFQUEUE --queue-balance 0:%d --queue-bypass --queue-cpu-fanout\n", last),
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in: %s", want, shown)
		}
	}
	exampletest.CheckInstall(t)
}

func TestSumsAreOfAllQueues(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-every", "1h")
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	const packets = 50
	exampletest.Send(t, from, exampletest.Numbers(packets)...)
	exampletest.Receive(t, to, packets)
	p.Stop()
	if got, want := p.Next(), fmt.Sprintf("%d packets, 0 lost; by queue:", packets); !strings.HasPrefix(got, want) {
		t.Errorf("it prints %q, want %q", got, want)
	}
}
