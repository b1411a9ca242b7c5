//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestPacketsAreShownAndAccepted(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	for _, address := range []string{"127.0.0.1:53", "[::1]:53"} {
		to, from := exampletest.UDP(t, n, address)
		exampletest.Send(t, from, "x")
		if got := exampletest.Receive(t, to, 1); !slices.Equal(got, []string{"x"}) {
			t.Errorf("received %q", got)
		}
		if line := p.Next(); !strings.Contains(line, "> "+address) {
			t.Errorf("it prints %q", line)
		}
	}
}
