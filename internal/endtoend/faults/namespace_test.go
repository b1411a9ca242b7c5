//go:build linux

package faults

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// tellUserNamespace is a helper's role: it says whether its socket's network
// namespace belongs to a user namespace, and stays.
func tellUserNamespace() error {
	c, err := engine.Dial(engine.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(c.InUserNamespace())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestOwnerOfTheNetworkNamespaceIsTold(t *testing.T) {
	n := endtoend.NewNet(t)
	c, err := engine.Dial(engine.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer c.Close()
	if got, want := c.InUserNamespace(), endtoend.InUserNamespace(t); got != want {
		t.Errorf("a namespace of the tests: %v, want %v", got, want)
	}

	for _, w := range []struct {
		name  string
		flags uintptr
		want  string
	}{
		{"its own", unix.CLONE_NEWNET, "true"},
		{"that of who made its user namespace", 0, "false"}, // for all that it can see
	} {
		h := endtoend.StartInUserNamespace(t, n, "confined", w.flags)
		if got := h.NextLine(t); got != w.want {
			t.Errorf("a program in %s says %q, want %q", w.name, got, w.want)
		}
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.Process.Pid))
		testkit.Must(t, err)
		defer ns.Close()
		there, err := engine.Dial(engine.Config{NetNS: int(ns.Fd())})
		testkit.Must(t, err)
		defer there.Close()
		if got, want := there.InUserNamespace(), w.want == "true" || endtoend.InUserNamespace(t); got != want {
			t.Errorf("seen from here, a program in %s: %v, want %v", w.name, got, want)
		}
	}
}
