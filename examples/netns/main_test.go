//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// The name of the comment is that of a namespace that ip netns has made.
func TestRulesAreThoseOfTheComment(t *testing.T) {
	exampletest.CheckRules(t, "-name", "/proc/self/ns/net")
}

func TestPacketsOfAnotherNamespaceAreSeen(t *testing.T) {
	here, there := exampletest.Net(t), exampletest.Net(t)
	p := exampletest.Run(t, here, "-name", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), there.FD()))
	exampletest.Install(t, there)
	to, from := exampletest.UDP(t, there, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	if got := exampletest.Receive(t, to, 1); !slices.Equal(got, []string{"x"}) {
		t.Errorf("received %q", got)
	}
	if line := p.Next(); !strings.Contains(line, "> 127.0.0.1:9999") {
		t.Errorf("it prints %q", line)
	}
}
