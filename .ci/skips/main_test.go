package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two packages on two machines: TestHard is skipped on one of them.
const (
	plain = `=== RUN   TestEasy
--- PASS: TestEasy (0.00s)
=== RUN   TestHard
    hard_test.go:7: no such kernel
--- SKIP: TestHard (0.00s)
PASS
ok  	example.org/a	0.010s
=== RUN   TestHard
=== RUN   TestHard/part
    --- PASS: TestHard/part (0.00s)
--- PASS: TestHard (0.00s)
PASS
ok  	example.org/b	0.010s
`
	able = `=== RUN   TestHard
--- PASS: TestHard (0.00s)
ok  	example.org/a	0.010s
`
	unable = `=== RUN   TestHard
=== PAUSE TestHard
=== CONT  TestOther
    other_test.go:1: of another test
=== CONT  TestHard
    hard_test.go:9: nor here
--- PASS: TestOther (0.00s)
--- SKIP: TestHard (0.00s)
ok  	example.org/a	0.010s
`
	sub = `=== RUN   TestEasy/part
    --- SKIP: TestEasy/part (0.00s)
--- PASS: TestEasy (0.00s)
ok  	example.org/a	0.010s
`
)

func TestSkippedTestsPassElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name string
		logs []string
		ok   bool
		says string
	}{
		{"a test that another machine shows", []string{plain, able}, true, "example.org/a TestHard: m1; 1 skip it: no such kernel\n"},
		{"a test skipped everywhere", []string{plain, unable}, false,
			"skipped wherever they ran:\n  example.org/a TestHard: none; 2 skip it: no such kernel | nor here\n"},
		{"a subtest skipped everywhere", []string{able, sub}, false, "example.org/a TestEasy/part: none; 1 skip it"},
		{"the same name in another package", []string{plain}, false, "example.org/a TestHard: none"},
		{"nothing skipped", []string{able}, true, "1 machines, 1 tests"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var files []string
			dir := t.TempDir()
			for i, log := range tt.logs {
				name := filepath.Join(dir, "m"+string('0'+rune(i))+".log")
				if err := os.WriteFile(name, []byte(log), 0o644); err != nil {
					t.Fatal(err)
				}
				files = append(files, name)
			}
			var out strings.Builder
			ok, err := run(&out, files)
			if err != nil || ok != tt.ok || !strings.Contains(out.String(), tt.says) {
				t.Errorf("%v, %v, want %v and %q:\n%s", ok, err, tt.ok, tt.says, out.String())
			}
		})
	}
}

// A log of nothing is no proof.
func TestEmptyLogIsAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "empty.log")
	if err := os.WriteFile(name, []byte("no test files\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run(new(strings.Builder), []string{name}); err == nil {
		t.Error("it passes")
	}
}
