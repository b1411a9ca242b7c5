//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestLogIsReadWithoutAnyPrivilege(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	_, from := exampletest.UDP(t, n, "127.0.0.1:53")
	exampletest.Send(t, from, "x")
	if line := p.Next(); !strings.Contains(line, `"dns "`) || !strings.Contains(line, "127.0.0.1:53") {
		t.Errorf("it prints %q", line)
	}
	checkPowerless(t, p.Cmd.Process.Pid)
}

// checkPowerless looks at every thread of the process.
func checkPowerless(t *testing.T, pid int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	testkit.Must(t, err)
	for _, thread := range threads {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, thread.Name()))
		testkit.Must(t, err)
		for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			if !regexp.MustCompile(`(?m)^` + name + `:\s+0+$`).Match(status) {
				t.Errorf("thread %s has capabilities in %s:\n%s", thread.Name(), name, status)
			}
		}
		if !regexp.MustCompile(`(?m)^NoNewPrivs:\s+1$`).Match(status) {
			t.Errorf("thread %s can get privileges:\n%s", thread.Name(), status)
		}
	}
}

// The pipe that keeps the rules there goes with the program that begins anew.
func TestInstalledRulesStayWhenTheProgramBeginsAnew(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("there is no nft here, which -install needs")
	}
	n := exampletest.Net(t)
	p := exampletest.Run(t, n, "-install")
	_, from := exampletest.UDP(t, n, "127.0.0.1:53")
	exampletest.Send(t, from, "1")
	p.Next()
	exampletest.Send(t, from, "2")
	p.Next()
	checkPowerless(t, p.Cmd.Process.Pid)
}
