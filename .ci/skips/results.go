package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A result is what became of one test.
type result struct {
	passed  []string          // on these machines
	skipped map[string]string // on these, and why
}

// results is by package and test, as in "example.org/a TestX/sub".
type results map[string]*result

var (
	// turn says whose output follows.
	turn = regexp.MustCompile(`^=== (?:RUN|CONT|NAME|PAUSE) +(\S+)`)
	// said is a line that a test logs, a reason to skip among them.
	said = regexp.MustCompile(`^ *[\w.-]+\.go:\d+: (.*)`)
	// ended is the end of a test, of its subtests too.
	ended = regexp.MustCompile(`^ *--- (PASS|SKIP): (\S+)`)
	// of ends the output of a package, and names it.
	of = regexp.MustCompile(`^(?:ok|FAIL)\s+(\S+)\s`)
)

// read adds what go test -v printed on a machine, and returns how many tests
// passed there.
func (r results) read(machine, output string) (passed int) {
	var test string
	var ends [][]string // of tests of a package whose name comes last
	last := make(map[string]string)
	for line := range strings.Lines(output) {
		if m := turn.FindStringSubmatch(line); m != nil {
			test = m[1]
		} else if m := said.FindStringSubmatch(line); m != nil {
			last[test] = m[1]
		} else if m := ended.FindStringSubmatch(line); m != nil {
			ends = append(ends, []string{m[1], m[2]})
		} else if m := of.FindStringSubmatch(line); m != nil {
			for _, end := range ends {
				passed += r.add(machine, m[1]+" "+end[1], end[0] == "PASS", last[end[1]])
			}
			ends = nil
			clear(last)
		}
	}
	return passed
}

// add adds one end of a test, and returns 1 if it passed.
func (r results) add(machine, test string, pass bool, reason string) int {
	if r[test] == nil {
		r[test] = &result{skipped: make(map[string]string)}
	}
	if !pass {
		r[test].skipped[machine] = reason
		return 0
	}
	r[test].passed = append(r[test].passed, machine)
	return 1
}

// shownOnce returns the tests that one machine shows, of all that have them.
func (r results) shownOnce() []string {
	return r.where(func(t *result) bool { return len(t.passed) == 1 && len(t.skipped) > 0 })
}

// shownNowhere returns the tests that were skipped wherever they ran.
func (r results) shownNowhere() []string {
	return r.where(func(t *result) bool { return len(t.passed) == 0 })
}

// where returns the tests that match, in order; not those below one that does.
func (r results) where(match func(*result) bool) (tests []string) {
	for _, test := range slices.Sorted(maps.Keys(r)) {
		below := func(above string) bool { return strings.HasPrefix(test, above+"/") }
		if match(r[test]) && !slices.ContainsFunc(tests, below) {
			tests = append(tests, test)
		}
	}
	return tests
}

// print prints tests: which machine shows each, and why others do not.
func (r results) print(out io.Writer, tests []string) {
	for _, test := range tests {
		by := "none"
		if passed := r[test].passed; len(passed) > 0 {
			by = passed[0]
		}
		why := slices.Compact(slices.Sorted(maps.Values(r[test].skipped)))
		fmt.Fprintf(out, "  %s: %s; %d skip it: %s\n", test, by, len(r[test].skipped), strings.Join(why, " | "))
	}
}
