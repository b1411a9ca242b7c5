//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestOnlyOtherUsersMaySend(t *testing.T) {
	n := exampletest.Net(t)
	user := userOfTheKernel(t)
	p := exampletest.Start(t, n, "-deny", fmt.Sprintf("4711,%d", user))
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	exampletest.ReceiveNothing(t, to)
	if want := fmt.Sprintf("user %d may not send", user); !strings.Contains(p.Log(), want) {
		t.Errorf("the log lacks %q: %s", want, p.Log())
	}
}

// userOfTheKernel returns who the test is to the kernel, which knows nothing of the
// names that a user namespace gives.
func userOfTheKernel(t *testing.T) (user int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	testkit.Must(t, err)
	var inside, outside int
	_, err = fmt.Sscan(string(b), &inside, &outside)
	testkit.Must(t, err)
	return outside + os.Getuid() - inside
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
