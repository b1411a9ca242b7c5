//go:build linux

package main

import (
	"errors"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestRefusedConnectionFailsAtOnce(t *testing.T) {
	n := exampletest.Net(t)
	for _, address := range []string{"127.0.0.1:80", "127.0.9.1:80", "[::1]:81"} {
		exampletest.Echo(t, n, address)
	}
	p := exampletest.Start(t, n, "-to", "127.0.9.0/24", "-to", "::1/128")
	if got, err := exampletest.Ask(n, "127.0.0.1:80", "hello", testkit.Patience); err != nil || got != "hello" {
		t.Errorf("a network that is not refused answers %q, %v", got, err)
	}
	for _, address := range []string{"127.0.9.1:80", "[::1]:81"} {
		if _, err := exampletest.Ask(n, address, "hello", testkit.Patience); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EACCES) {
			t.Errorf("%s: %v; the log: %s", address, err, p.Log())
		}
	}
}
