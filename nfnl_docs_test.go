package nfpacket

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w+)\(`)
)

// allTests returns the names of all tests, on every platform.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// What SECURITY.md says is shown by tests: each row of a table with a column for
// that names one at least, and all that it names exist.
func TestSecurityIsShownByTests(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := allTests(t)
	rows, table := 0, false
	for _, line := range strings.Split(string(text), "\n") {
		names := testName.FindAllString(line, -1)
		for _, name := range names {
			if !tests[name] {
				t.Errorf("SECURITY.md names %s, which there is not", name)
			}
		}
		switch {
		case strings.HasPrefix(line, "| ---"):
		case strings.HasSuffix(line, "| shown by |"):
			table = true
		case !strings.HasPrefix(line, "|"):
			table = false
		case table:
			if rows++; len(names) == 0 {
				t.Errorf("no test shows this: %s", line)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}
