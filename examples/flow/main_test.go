//go:build linux

package main

import (
	"bufio"
	"fmt"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestKernelHandlesAConnectionOnceItIsMarked(t *testing.T) {
	n := exampletest.Net(t)
	probe, err := nfqueue.Open(nfqueue.Config{Queue: 1, ConntrackVerdicts: true, Socket: nfnl.Config{NetNS: n.FD()}})
	if err != nil {
		t.Skipf("this kernel cannot mark connections by verdict, as Open says: %v", err)
	}
	probe.Close()
	p := exampletest.Start(t, n, "-host", "bad.example")
	exampletest.Echo(t, n, "127.0.0.1:80")

	c, err := n.Dial("tcp", "127.0.0.1:80")
	testkit.Must(t, err)
	defer c.Close()
	answers := bufio.NewReader(c)
	c.SetDeadline(time.Now().Add(testkit.Patience))
	const lines = 50
	for i := range lines {
		line := fmt.Sprintf("GET %d\n", i)
		exampletest.Send(t, c, line)
		if got, err := answers.ReadString('\n'); err != nil || got != line {
			t.Fatalf("answer %q, %v; the log: %s", got, err, p.Log())
		}
	}
	passed, err := p.Rules[0].Packets()
	testkit.Must(t, err)
	queued, err := p.Rules[2].Packets()
	testkit.Must(t, err)
	if passed < lines-1 || queued > 5 {
		t.Errorf("%d packets passed by their mark, %d were queued", passed, queued)
	}

	if got, err := exampletest.Ask(n, "127.0.0.1:80", "GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n", 2*time.Second); err == nil && got != "" {
		t.Errorf("the dropped connection answers %q", got)
	}
	if dropped, err := p.Rules[1].Packets(); err != nil || dropped == 0 {
		t.Errorf("%d packets were dropped by their mark, %v", dropped, err)
	}
}
