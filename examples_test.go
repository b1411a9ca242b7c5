package nfpacket

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// longest is how many lines main.go of an example has at most, its comment included.
const longest = 110

// Every example is short, is listed in the README, and has its rules and its end
// tested by exampletest. The demo has no rules to install: it makes its own network.
func TestEveryExampleIsShortListedAndTested(t *testing.T) {
	needsWholeModule(t)
	mains, err := filepath.Glob("examples/*/main.go")
	if err != nil || len(mains) < 15 {
		t.Fatalf("only the examples %q were found: %v", mains, err)
	}
	list, err := os.ReadFile("examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range mains {
		dir := path.Dir(filepath.ToSlash(name))
		if dir == "examples/demo" {
			continue
		}
		if !strings.Contains(string(list), "("+strings.TrimPrefix(name, "examples/")+")") {
			t.Errorf("examples/README.md does not link to %s", name)
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), "\n"); n > longest {
			t.Errorf("%s has %d lines, more than %d", name, n, longest)
		}
		test, err := os.ReadFile(path.Join(dir, "main_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{`Main\(m, main\)`, `Check(Rules|Install)\(t`, `(Start|Run)\(t`} {
			if !regexp.MustCompile(`exampletest\.` + call).Match(test) {
				t.Errorf("the tests of %s have no exampletest.%s", dir, call)
			}
		}
	}
}
