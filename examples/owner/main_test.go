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

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestOnlyOtherUsersMaySend(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-deny", fmt.Sprintf("4711,%d", os.Getuid()))
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	exampletest.ReceiveNothing(t, to)
	if want := fmt.Sprintf("user %d may not send", os.Getuid()); !strings.Contains(p.Log(), want) {
		t.Errorf("the log lacks %q: %s", want, p.Log())
	}
}

func TestUserWhoIsNotDeniedMaySend(t *testing.T) {
	n := exampletest.Net(t)
	exampletest.Start(t, n, "-deny", "4711")
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	if got := exampletest.Receive(t, to, 1); !slices.Equal(got, []string{"x"}) {
		t.Errorf("received %q", got)
	}
}
