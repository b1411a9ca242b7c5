package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What takes the place of programs here: a kernel that is there, QEMU, and a go
// command that says how it was called.
var standIns = map[string]string{
	".ci/vm/getqemu":   "",
	".ci/vm/getkernel": `echo "/boot/$1-$2"; echo "6.0 $2"`,
	"bin/go":           `case $1 in list) echo "example.org/p.test [example.org/internal/lab]" ;; test) echo "GOARCH=$GOARCH go $*" ;; esac`,
}

// layOut makes a module with the scripts of this folder and standIns in it.
func layOut(t *testing.T) (module string) {
	t.Helper()
	module = t.TempDir()
	for _, name := range []string{"run", "matrix", "lib.sh", "kernels"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(module, ".ci/vm", name), string(text))
	}
	for name, does := range standIns {
		write(t, filepath.Join(module, name), "#!/bin/bash\n"+does+"\n")
	}
	return module
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Every command of the README does what is said beside it. The machines themselves
// are the gate's business.
func TestCommandsOfReadme(t *testing.T) {
	says := map[string][]string{
		".ci/vm/matrix": {"ok    amd64-5.10", "ok    s390x-6.12", "ok    user-mips", " 0 failed, 0 gone"},
		"JOBS=1 .ci/vm/matrix amd64-6.12 s390x-6.12":                           {"ok    amd64-6.12", "ok    s390x-6.12", "2 passed, 0 failed, 0 gone"},
		".ci/vm/run amd64-6.12":                                                {"GOARCH=amd64", "-kernel=/boot/trixie-amd64", " example.org/p"},
		".ci/vm/run amd64-6.12 -v -run TestAccepted ./internal/endtoend/queue": {"-kernel=/boot/trixie-amd64", " -v -run TestAccepted ./internal/endtoend/queue"},
		".ci/vm/run sid arm64 ./...":                                           {"GOARCH=arm64", "exec -arch=arm64", "-kernel=/boot/sid-arm64", " ./..."},
		".ci/vm/run -user -smp=2 amd64-newest ./internal/endtoend/faults":      {"-kernel=/boot/trixie-backports-amd64", " -user -smp=2 ./internal/endtoend/faults"},
		".ci/vm/run user-s390x -v -run Conntrack ./attr":                       {"GOARCH=s390x", "-exec qemu-s390x -v -run Conntrack ./attr"},
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	module := layOut(t)
	block := regexp.MustCompile("(?ms)^```\n(.*?)^```$").FindSubmatch(readme)
	lines := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	for _, line := range lines {
		command := strings.TrimSpace(regexp.MustCompile(` {2,}.*`).ReplaceAllString(line, ""))
		if says[command] == nil {
			t.Errorf("what is %s to say?", command)
		}
		cmd := exec.Command("bash", "-c", command)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(module, "bin")+":"+os.Getenv("PATH"), "GOARCH=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
		for _, want := range says[command] {
			if !strings.Contains(strings.ReplaceAll(string(out), "'", ""), want) {
				t.Errorf("%s does not say %q: %s", command, want, out)
			}
		}
		delete(says, command)
	}
	for command := range says {
		t.Errorf("README.md has no %s", command)
	}
}
