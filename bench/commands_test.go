package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandLines returns the arguments of this program in the documents: in commands,
// and in the README's table of flags.
func commandLines(t *testing.T) (lines []string) {
	t.Helper()
	names, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "../README.md", "README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:^|`)go -C bench run \\.( [^`\n]*)?(?:`|$)").FindAllSubmatch(text, -1) {
			lines = append(lines, string(m[1]))
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(readme)) {
		if flags, _, ok := strings.Cut(row, "` | "); ok && strings.HasPrefix(flags, "| `-") {
			for _, f := range strings.Split(strings.TrimPrefix(flags, "| `"), "`, `") {
				lines = append(lines, strings.ReplaceAll(f, `\|`, "|"))
			}
		}
	}
	return lines
}

// Every command line of the documents is one that the program takes, and each
// alternative of its -only is something that is measured. The gate runs the program.
func TestCommandLinesOfDocuments(t *testing.T) {
	lines := commandLines(t)
	if len(lines) < 10 {
		t.Fatalf("only %q were found", lines)
	}
	var names []string
	for _, c := range contests(fullScale) {
		names = append(names, c.name)
	}
	for _, s := range studies(fullScale, false) {
		names = append(names, s.name)
	}
	for _, line := range lines {
		words, err := exec.Command("sh", "-c", `printf '%s\n' `+line).Output()
		if err != nil {
			t.Fatal(err)
		}
		set := flag.NewFlagSet(line, flag.ContinueOnError)
		f, err := parseFlags(set, strings.FieldsFunc(string(words), func(r rune) bool { return r == '\n' }))
		if err != nil || set.NArg() > 0 {
			t.Errorf("%s: %v, and %q is left", line, err, set.Args())
			continue
		}
		for _, only := range strings.Split(f.only.String(), "|") {
			if !slices.ContainsFunc(names, regexp.MustCompile(only).MatchString) {
				t.Errorf("%s: nothing that is measured matches %s", line, only)
			}
		}
	}
}
