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

// The commands of a document: in blocks, in sentences, and in the comments of a
// Dockerfile.
var (
	shellBlock    = regexp.MustCompile("(?ms)^```\n(.*?)^```$")
	inlineCommand = regexp.MustCompile("`((?:[A-Z]+=\\S+ |sudo |bash |unshare \\S+ )*(?:go (?:run|test|build|get|-C)|\\.ci/|\\./)[^`]*)`")
	blockCommand  = regexp.MustCompile(`^((\S+=\S+ )*(go (run|test|build|get|-C)|git|sudo|bash|docker|apt-get|\.ci/\S+|\./\S+|cd|ssh|ship) .*|\.ci/\S+)$`)
	dockerComment = regexp.MustCompile(`(?m)^#\t(.*)$`)
)

// A run is a command of the documents, and which file runs it, by which words. Rules
// of nft and iptables are the business of internal/documents, and the commands of
// examples that of examples/internal/exampletest.
type run struct{ command, file, words string }

var runs = []run{
	{"go run ./examples/demo", ".ci/run", "readme go run ./examples/demo"},
	{"go run ./examples/watch -demo", "examples/watch/main_test.go", `{"-demo",`},
	{"go test ./...", ".ci/run", "readme go test"},
	{"go get github.com/nfpacket/nfpacket", "commands_run_test.go", `"go get `},
	{`sudo env "PATH=$PATH" NFPACKET_KERNEL=require go test -count=1 ./...`, ".ci/run", "export NFPACKET_KERNEL=require\nGOFLAGS='-race -count=1"},
	{"unshare -Urn go test", "commands_run_test.go", `"unshare -Urn go test`},
	{"git clone https://github.com/nfpacket/nfpacket && cd nfpacket", "commands_run_test.go", `"git clone `},
	{".ci/vm/run amd64-6.12 -v -run TestAccepted ./internal/endtoend/queue", ".ci/vm/readme_test.go", `".ci/vm/run amd64-6.12 -v -run TestAccepted ./internal/endtoend/queue"`},
	{".ci/vm/run KERNEL -v -run TEST PACKAGE", ".ci/vm/readme_test.go", `".ci/vm/run amd64-6.12 -v -run TestAccepted ./internal/endtoend/queue"`},
	{"sudo .ci/vm/getqemu", ".ci/run", "\n.ci/vm/getqemu\n"},
	{"bash .ci/run", ".github/workflows/ci.yml", "bash .ci/run\n"},
	{".ci/run", ".github/workflows/ci.yml", "bash .ci/run\n"},
	{".ci/integrations", ".ci/run", "\n.ci/integrations\n"},
	{"INTEGRATIONS=all bash .ci/run", ".github/workflows/ci.yml", "run: INTEGRATIONS=all bash .ci/run\n"},
	{".ci/api", ".ci/run", "\n.ci/api\n"},
	{".ci/steady ./nfqueue", ".ci/steady_test.go", `exec.Command(steady, "-n", "5", ".")`},
	{".ci/fuzz 10m", ".ci/run", "\n.ci/fuzz 10s\n"},
	{"go -C bench run ./soak -time 30m", ".ci/run", "\tgo -C bench run ./soak -time 10s"},
	{"apt-get install gcc libc6-dev libmnl-dev libnetfilter-queue-dev libnetfilter-log-dev strace", ".ci/run", "libmnl-dev libnetfilter-queue-dev libnetfilter-log-dev strace\n"},
	{"CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o deploy/accept ./examples/accept", "deploy/deploy_test.go", "CGO_ENABLED=0 go build .* -o )deploy/accept"},
	{"docker build -t accept deploy", "deploy/image_test.go", `{"bud", "--isolation", "chroot", "-t", "accept", dir}`},
	{"docker run --cap-drop ALL --cap-add NET_ADMIN --network host accept", "deploy/image_test.go", `one := []string{"CAP_NET_ADMIN"}`},
}

// runners are the documents whose blocks of commands are run by a test that reads
// them there.
var runners = map[string]string{
	"examples/integrations/capture/README.md": "examples/integrations/capture/commands_test.go",
	"examples/integrations/ship/README.md":    "examples/integrations/ship/commands_test.go",
	".ci/vm/README.md":                        ".ci/vm/readme_test.go",
}

// documentNames returns all documents.
func documentNames(t *testing.T) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata"):
			return fs.SkipDir
		case path.Ext(name) == ".md":
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) < 20 {
		t.Fatalf("only the documents %q were found: %v", names, err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commandsOf returns the commands of a document.
func commandsOf(t *testing.T, name string) (commands []string) {
	t.Helper()
	text := read(t, name)
	for _, m := range inlineCommand.FindAllStringSubmatch(text, -1) {
		commands = append(commands, m[1])
	}
	var lines []string
	for _, m := range dockerComment.FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1])
	}
	if runners[name] == "" {
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			lines = append(lines, strings.Split(block[1], "\n")...)
		}
	}
	for _, line := range lines {
		if line = strings.TrimSpace(line); blockCommand.MatchString(line) {
			commands = append(commands, line)
		}
	}
	return commands
}

func TestEveryCommandInDocumentsIsRun(t *testing.T) {
	needsWholeModule(t)
	seen := map[string]bool{}
	for _, name := range append(documentNames(t), "deploy/Dockerfile") {
		for _, command := range commandsOf(t, name) {
			seen[command] = true
			if !isRun(t, path.Dir(name), command) {
				t.Errorf("%s has a command that nothing runs: %s", name, command)
			}
		}
	}
	for _, r := range runs {
		if !seen[r.command] {
			t.Errorf("no document has the command %s", r.command)
		}
		if !strings.Contains(read(t, r.file), r.words) {
			t.Errorf("%s does not run %s: it lacks %q", r.file, r.command, r.words)
		}
	}
	for document, test := range runners {
		if !strings.Contains(read(t, test), `"README.md"`) {
			t.Errorf("%s does not read the commands of %s", test, document)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d commands were found", len(seen))
	}
}

// isRun reports whether a command of a document in a folder is run by a test or a
// step of the gate, or is no command but the name of a file.
func isRun(t *testing.T, dir, command string) bool {
	t.Helper()
	if slices.ContainsFunc(runs, func(r run) bool { return r.command == command }) {
		return true
	}
	switch first, _, more := strings.Cut(command, " "); {
	case strings.HasPrefix(command, "go -C bench run ."):
		return strings.Contains(read(t, "bench/commands_test.go"), "TestCommandLinesOfDocuments")
	case strings.HasPrefix(command, "go test "):
		return isTested(t, dir, command)
	case strings.HasPrefix(first, "./") && strings.Contains(read(t, path.Join(dir, "README.md")), "\n"+command):
		return runners[path.Join(dir, "README.md")] != "" // it is one of the block too
	default:
		info, err := os.Stat(first)
		return err == nil && !more && info.Mode()&0o111 == 0 || err == nil && info.IsDir()
	}
}

var (
	testFlag  = regexp.MustCompile(`-run (\w+)`)
	benchFlag = regexp.MustCompile(`-bench (\S+)`)
)

// isTested reports whether the steps of the gate that run all tests, and all
// benchmarks once, run what a command with go test does.
func isTested(t *testing.T, dir, command string) bool {
	t.Helper()
	if !strings.HasPrefix(dir, "examples/integrations/") {
		dir = "." // the other documents are about the whole module
	}
	gate, step, benchmarks := ".ci/run", "$(readme go test)", "go test -run '^$' -bench . -benchtime 1x ./..."
	if dir != "." {
		gate, step, benchmarks = ".ci/integrations", "go -C \"$dir\" test ", "-bench . -benchtime 1x"
	}
	if m := testFlag.FindStringSubmatch(command); m != nil && !hasFunc(t, dir, `Test\w*`+m[1]) {
		return false
	}
	if m := benchFlag.FindStringSubmatch(command); m != nil {
		step = benchmarks
		if !hasFunc(t, dir, `Benchmark\w*`+m[1]) {
			return false
		}
	}
	for _, word := range strings.Fields(command) {
		if strings.HasPrefix(word, "./") && word != "./..." {
			if _, err := os.Stat(path.Join(dir, word)); err != nil {
				return false
			}
		}
	}
	return strings.Contains(read(t, gate), step)
}

// hasFunc reports whether a test file below dir has a function that matches pattern.
func hasFunc(t *testing.T, dir, pattern string) (found bool) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ` + pattern)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, "_test.go") {
			found = found || function.MatchString(read(t, path.Join(dir, name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
