//go:build linux

package nfpacket

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shellBlock finds commands in a document, and inlineCommand those in a sentence.
var (
	shellBlock    = regexp.MustCompile("(?ms)^```\n(.*?)^```$")
	inlineCommand = regexp.MustCompile("`((?:sudo |bash )?(?:go (?:run|test|build|get|-C) |\\.ci/)[^`]*)`")
	testPattern   = regexp.MustCompile(`-run (\w+)`)
)

// runs says of the commands in blocks which file runs them, and by which words.
// Rules of nft and iptables are the business of internal/documents.
var runs = []struct{ command, file, words string }{
	{"go run ./examples/demo", ".ci/run", "readme go run ./examples/demo"},
	{"go test ./...", ".ci/run", "readme go test"},
	{`sudo env "PATH=$PATH" NFPACKET_KERNEL=require go test -count=1 ./...`, ".ci/run", "NFPACKET_KERNEL=require"},
	{".ci/vm/run amd64-6.12 -v -run TestAccepted ./internal/endtoend/queue", ".ci/vm/matrix", "amd64-6.12) \"$here/run\""},
	{"bash .ci/run", ".github/workflows/ci.yml", "run: bash .ci/run"},
	{"git clone https://github.com/nfpacket/nfpacket && cd nfpacket", "", ""}, // by nobody: it is of the published repository
}

// documents returns the documents with commands for this module.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(os.DirFS("."), "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(names, "README.md", "CONTRIBUTING.md", "SECURITY.md", "MIGRATING.md", "examples/README.md", "deploy/README.md")
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCommandsInDocumentsAreRun(t *testing.T) {
	needsWholeModule(t)
	seen := map[string]bool{}
	for _, name := range documents(t) {
		for _, block := range shellBlock.FindAllStringSubmatch(read(t, name), -1) {
			for line := range strings.Lines(block[1]) {
				command := strings.TrimSpace(line)
				if !regexp.MustCompile(`^(go (run|test|build|get|-C)|git|sudo|bash|docker|\.ci/\S+|\./\S+) `).MatchString(command + " ") {
					continue
				}
				seen[command] = true
				if !slices.ContainsFunc(runs, func(r struct{ command, file, words string }) bool { return r.command == command }) {
					t.Errorf("%s has a command of which nobody knows who runs it: %s", name, command)
				}
			}
		}
	}
	for _, r := range runs {
		if !seen[r.command] {
			t.Errorf("no document has the command %s", r.command)
		}
		if r.file != "" && !strings.Contains(read(t, r.file), r.words) {
			t.Errorf("%s does not run %s: it lacks %q", r.file, r.command, r.words)
		}
	}
}

// A command in a sentence names files and tests that are there.
func TestCommandsInDocumentsNameWhatIsThere(t *testing.T) {
	needsWholeModule(t)
	tests := testNames(t)
	commands := 0
	for _, name := range documents(t) {
		for _, m := range inlineCommand.FindAllStringSubmatch(read(t, name), -1) {
			commands++
			dir := "."
			words := strings.Fields(m[1])
			if i := slices.Index(words, "-C"); i >= 0 {
				dir = words[i+1]
			}
			for _, word := range words {
				if !strings.HasPrefix(word, "./") && !strings.HasPrefix(word, ".ci/") || strings.Contains(word, "...") {
					continue
				}
				if _, err := os.Stat(path.Join(dir, word)); err != nil {
					t.Errorf("%s: %s: %v", name, m[0], err)
				}
			}
			if p := testPattern.FindStringSubmatch(m[1]); p != nil && !strings.Contains(tests, p[1]) {
				t.Errorf("%s: %s: there is no such test", name, m[0])
			}
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands were found", commands)
	}
}

// testNames returns the names of all tests, one a line.
func testNames(t *testing.T) string {
	t.Helper()
	var names strings.Builder
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		for _, m := range function.FindAllStringSubmatch(read(t, name), -1) {
			names.WriteString(m[1] + "\n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names.String()
}
