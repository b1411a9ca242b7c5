//go:build linux

package main

import (
	"encoding/json"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

// Packets are shown with the names of their interfaces, the last before SIGTERM
// too.
func TestEveryLoggedPacketIsShown(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Run(t, n)
	out, err := n.Chain(lab.IPv4, lab.Output, 0)
	testkit.Must(t, err)
	_, err = out.Add(lab.UDP(9999), lab.Log(5, "connect: ", 0, 0))
	testkit.Must(t, err)
	_, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "the first, which shows that the loop has begun")
	got := next(t, p)
	exampletest.Send(t, from, exampletest.Numbers(49)...)
	p.Stop()
	for i := range 50 {
		if i > 0 {
			got = next(t, p)
		}
		if got.Seq != i || got.Prefix != "connect: " || got.Hook != "output" || got.Out != "lo" || got.Proto != "udp" {
			t.Errorf("line %d is of %+v", i, got)
		}
	}
}

// A shown is what the tests look at of a line.
type shown struct {
	Seq                      int
	Prefix, Hook, Out, Proto string
}

// next returns the next line of the program.
func next(t *testing.T, p *exampletest.Process) (s shown) {
	t.Helper()
	testkit.Must(t, json.Unmarshal([]byte(p.Next()), &s))
	return s
}

func TestConnectionsAreShownByTheProgramsOwnRules(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	exampletest.Echo(t, n, "127.0.0.1:80")
	if _, err := exampletest.Ask(n, "127.0.0.1:80", "hello", testkit.Patience); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if got := next(t, p); got.Prefix != "connect: " || got.Proto != "tcp" {
		t.Errorf("the line is of %+v", got)
	}
	if line, more := p.Rest(); more {
		t.Errorf("of one connection there is a second line: %s", line)
	}
}
