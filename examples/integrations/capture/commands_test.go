//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// standIns take the place of programs that commands in the documents name: tshark
// that of Wireshark, this host that of another, and no privileges are given.
var standIns = map[string]string{
	"wireshark": `shift && exec tshark "$@"`,
	"ssh":       `shift && exec "$@"`,
	"sudo":      `exec "$@"`,
	"setcap":    `[ "$1" = cap_net_admin+ep ] && [ -x "$2" ]`,
}

var (
	commandBlock = regexp.MustCompile("(?ms)^```\n(.*?)^```$")
	besides      = regexp.MustCompile(`(tshark|wireshark) .*`)
)

// commands returns the commands of the README and of the comment of main.go, each
// without what is said of it.
func commands(t *testing.T) (all []string) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	must(t, err)
	for _, block := range commandBlock.FindAllSubmatch(readme, -1) {
		all = append(all, strings.Split(strings.TrimSpace(string(block[1])), "\n")...)
	}
	source, err := os.ReadFile("main.go")
	must(t, err)
	for _, line := range regexp.MustCompile(`(?m)^//\t(capture .*)$`).FindAllSubmatch(source, -1) {
		all = append(all, string(line[1]))
	}
	return all
}

// Every command of the documents is run, in order, in one folder and with packets to
// capture.
func TestCommandsOfDocumentsAreRun(t *testing.T) {
	need(t, "tshark")
	module, err := os.Getwd()
	must(t, err)
	home := folder(t)
	addRules(t, lab.Log(logGroup, prefix, 0, 0), lab.Queues(queueNum, 1, lab.Bypass))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go traffic(ctx)
	ran := 0
	for _, line := range commands(t) {
		line, said, _ := strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "cd "): // to where the test is
			if filepath.Join(module, "../../..", line[3:]) != module {
				t.Errorf("%s leads elsewhere", line)
			}
		case strings.HasPrefix(line, "go build "): // in that folder, for this one
			line = strings.Replace(line, "go build .", "go build -o $PWD/capture .", 1)
			out, err := inside(home, strings.Replace(line, "go build", "go build -C "+module, 1)).CombinedOutput()
			if err != nil { // however long it takes
				t.Fatalf("%s: %v: %s", line, err, out)
			}
		case strings.HasPrefix(line, "sudo "), strings.HasSuffix(line, "-rules"), strings.Contains(line, "wireshark"):
			runToItsEnd(t, home, line) // Wireshark's stand-in ends with the first packet
		default:
			captureUntilStopped(t, home, line, besides.FindString(said))
		}
		ran++
	}
	if ran < 12 {
		t.Errorf("only %d commands were found", ran)
	}
}

// folder returns a folder to run commands in, which has the programs of standIns.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tshark, err := exec.LookPath("tshark")
	must(t, err)
	standIns["tshark"] = "exec " + tshark + ` -n -c 1 "$@"`
	for name, does := range standIns {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+does+"\n"), 0o755))
	}
	return dir
}

// traffic sends datagrams, which the rules queue and log, until ctx is done.
func traffic(ctx context.Context) {
	c, err := net.Dial("udp", target)
	for err == nil && ctx.Err() == nil {
		c.Write([]byte("x")) // nobody listens, so that every other call fails
		time.Sleep(10 * time.Millisecond)
	}
}

// inside returns a command line to run in the folder dir.
func inside(dir, line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), goCaches()...)
	cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir)
	return cmd
}

// goCaches returns variables for where Go keeps things, which depends on HOME.
var goCaches = sync.OnceValue(func() (env []string) {
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		dir, _ := exec.Command("go", "env", name).Output()
		env = append(env, name+"="+strings.TrimSpace(string(dir)))
	}
	return env
})

// captureUntilStopped runs the program and, while it captures, what is said to run
// beside it.
func captureUntilStopped(t *testing.T, dir, line, beside string) {
	t.Helper()
	p := start(t, inside(dir, "exec "+line))
	until(t, "it captures", func() bool {
		return (queueBound() || !strings.Contains(line, "-queue")) && (groupBound() || !strings.Contains(line, "-group"))
	})
	if beside != "" {
		runToItsEnd(t, dir, beside)
	}
	send(t, target, "a", "b")
	p.stop(t)
	if log := p.stderr.String(); !regexp.MustCompile(`[1-9]\d* packets, 0 lost`).MatchString(log) {
		t.Errorf("%s: %s", line, log)
	}
}

// runToItsEnd runs a command that ends by itself.
func runToItsEnd(t *testing.T, dir, line string) {
	t.Helper()
	start(t, inside(dir, line)).wait(t)
}
