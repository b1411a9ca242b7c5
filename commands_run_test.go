//go:build linux

package nfpacket

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shell runs a command line in a folder, with variables besides those of the
// environment, and returns what it prints.
func shell(t *testing.T, dir, line string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The README's program builds in a new module, once the library is added to it.
func TestNewModuleGetsTheLibrary(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := shell(t, here, "go list -deps ./nfqueue"); err != nil {
		t.Skipf("no go command that finds what the library needs: %v\n%s", err, out)
	}
	dir := t.TempDir()
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindStringSubmatch(read(t, "README.md"))[1]
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"go mod init example.org/new",
		"go mod edit -replace github.com/nfpacket/nfpacket=" + here, // for what is published is another
		"go get github.com/nfpacket/nfpacket",
		"go build -o new . && test -x new",
	} {
		if out, err := shell(t, dir, line, "GOFLAGS=-mod=mod", "GOPROXY=off", "GONOSUMDB=*", "GOWORK=off"); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
}

// What CONTRIBUTING.md begins with leads to the module, and to what its next commands
// name.
func TestCloneIsTheModule(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// Whoever owns the files, they are what is published.
	config := filepath.Join(t.TempDir(), "config")
	text := "[safe]\n\tdirectory = *\n[url \"" + here + "\"]\n\tinsteadOf = https://github.com/nfpacket/nfpacket\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := shell(t, here, "git rev-parse HEAD", "GIT_CONFIG_GLOBAL="+config); err != nil {
		t.Skipf("this is no clone: %v: %s", err, out)
	}
	line := "git clone https://github.com/nfpacket/nfpacket && cd nfpacket"
	dir := t.TempDir()
	out, err := shell(t, dir, line+" && test -x .ci/run && test -f go.mod && test -f examples/demo/main.go", "GIT_CONFIG_GLOBAL="+config)
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	if out, err := shell(t, dir, "cd nfpacket && ! find . -path ./.git -prune -o -type f -size +1M -print | grep ."); err != nil {
		t.Errorf("a file of more than 1 MiB, such as a built program, is among the sources: %s", out)
	}
}

// Tests of the kernel run, and are not skipped, in namespaces of an ordinary user.
func TestKernelIsTestedInNamespacesOfOnesOwn(t *testing.T) {
	if out, err := shell(t, ".", "unshare -Urn true"); err != nil {
		t.Skipf("no namespaces here: %v: %s", err, out)
	}
	if out, err := shell(t, ".", "go list ./examples/accept"); err != nil {
		t.Skipf("no go command here: %v: %s", err, out)
	}
	// GOARCH is another where programs for other processors are emulated.
	out, err := shell(t, "examples/accept", "unshare -Urn go test -v -count=1 -run Accepted", "GOARCH=")
	if err != nil || !strings.Contains(out, "--- PASS") || strings.Contains(out, "--- SKIP") {
		t.Errorf("%v: %s", err, out)
	}
}
