package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A row whose kernel cannot be had is passed over, but never silently, and not
// if it leaves an architecture untested.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows []string
		says string
		pass bool
	}{
		{"all pass", []string{"ok a amd64", "ok s s390x", "ok user-mips"}, "3 passed, 0 failed, 0 gone", true},
		{"one fails", []string{"ok a amd64", "FAIL b amd64"}, "1 passed, 1 failed", false},
		{"two are gone", []string{"ok a amd64", "GONE b amd64", "GONE c amd64"}, "1 passed, 0 failed, 2 gone", true},
		{"three are gone", []string{"ok a amd64", "GONE b amd64", "GONE c amd64", "GONE d amd64"}, "more than two", false},
		{"the only big-endian one is gone", []string{"ok a amd64", "GONE s s390x", "ok user-s390x"}, "no kernel was run for s390x", false},
		{"a failure is not gone", []string{"ok a amd64", "FAIL s s390x"}, "1 failed", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("bash", "-c", ". ./lib.sh && judge")
			cmd.Stdin = strings.NewReader(strings.Join(tt.rows, "\n") + "\n")
			out, err := cmd.CombinedOutput()
			if (err == nil) != tt.pass || !strings.Contains(string(out), tt.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// The archive lacks the kernel that it names, and has none of the alternatives.
func TestMatrixFailsWithoutAKernelForAnArchitecture(t *testing.T) {
	a := newArchive(t, "s390x", "s390x")
	a.suite(t, "trixie", "6.12")
	a.lose(t, "6.12")
	cmd := exec.Command("./matrix", "s390x-6.12")
	cmd.Env = append(os.Environ(), "NFPACKET_DEBIAN="+a.uri(), "XDG_CACHE_HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"))
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it passes")
	}
	for _, says := range []string{"GONE  s390x-6.12 ", "no kernel to be had", "no kernel was run for s390x"} {
		if !strings.Contains(string(out), says) {
			t.Errorf("it does not say %q: %s", says, out)
		}
	}
}
