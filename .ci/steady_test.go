// Package ci tests the scripts of the gate that are worth a test.
package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The module has a test that fails every other time, and one that never does.
const flaky = `package flaky

import (
	"os"
	"testing"
)

func TestOfAlways(t *testing.T) {}

func TestOfNowAndThen(t *testing.T) {
	if err := os.Remove("last"); err != nil {
		os.WriteFile("last", nil, 0o644)
		return
	}
	t.Error("not this time")
}
`

func TestSteadyNamesWhatFailsNowAndThen(t *testing.T) {
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip(err)
	}
	steady, err := filepath.Abs("steady")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, contents := range map[string]string{"go.mod": "module flaky\n", "flaky_test.go": flaky} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(steady, "-n", "5", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	// Of the 7 runs the second, fourth and sixth fail, and the last, which has three
	// in one for -cpu 1,2,4.
	if err == nil {
		t.Error("it passes")
	}
	for _, says := range []string{"FAIL  flaky: 4 of 7 runs", "2 TestOfNowAndThen (beside-busy-loops)", "1 TestOfNowAndThen (on-one-processor)", "1 TestOfNowAndThen (race)"} {
		if !strings.Contains(string(out), says) {
			t.Errorf("it does not say %q", says)
		}
	}
	if t.Failed() || strings.Contains(string(out), "TestOfAlways") {
		t.Errorf("it says:\n%s", out)
	}
}
