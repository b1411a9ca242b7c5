package ci

import (
	"os/exec"
	"strings"
	"testing"
)

// What passes is not in the way of what does not.
func TestFailuresAreWhatIsPrinted(t *testing.T) {
	cmd := exec.Command("./failures")
	cmd.Stdin = strings.NewReader(`=== RUN   TestGood
    a_test.go:1: all is well
--- PASS: TestGood (0.00s)
=== RUN   TestBad
=== PAUSE TestBad
=== RUN   TestAlsoGood
    a_test.go:2: all is well here too
=== CONT  TestBad
    a_test.go:3: this is not
--- PASS: TestAlsoGood (0.00s)
=== RUN   TestBad/part
    a_test.go:4: nor this
    --- FAIL: TestBad/part (0.00s)
--- FAIL: TestBad (0.00s)
FAIL
FAIL	example.org/a	0.1s
`)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := `    a_test.go:3: this is not
    a_test.go:4: nor this
    --- FAIL: TestBad/part (0.00s)
--- FAIL: TestBad (0.00s)
FAIL
FAIL	example.org/a	0.1s
`
	if string(out) != want {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
}
