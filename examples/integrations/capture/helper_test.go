//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(envProgram) != "" {
		main()
		return
	}
	exampletest.Main(m, main)
}

// What the rules of the tests queue and log.
const (
	target   = "127.0.0.1:9999"
	port     = 9999
	queueNum = 7
	logGroup = 5
	prefix   = "dns query "
	patience = 20 * time.Second
)

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need skips the test where a program is not installed.
func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("it needs %s: apt-get install %[1]s", program)
	}
}

// envProgram is set in a process that is to be the program, not its test.
const envProgram = "NFPACKET_CAPTURE"

// capture returns a command that runs the program.
func capture(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envProgram+"=1")
	return cmd
}

// addRules adds rules to the namespace of the test, and takes them away at its end.
func addRules(t testing.TB, terms ...lab.Term) {
	t.Helper()
	lab.Require(t)
	n, err := lab.Here()
	must(t, err)
	t.Cleanup(func() { n.Close() })
	c, err := n.Chain(lab.Inet, lab.Output, 0)
	must(t, err)
	t.Cleanup(func() { c.Delete() })
	_, err = c.Add(append([]lab.Term{lab.UDP(port)}, terms...)...)
	must(t, err)
}

// send sends datagrams of the words, and returns when all have arrived.
func send(t testing.TB, to string, words ...string) {
	t.Helper()
	receiver, err := net.ListenPacket("udp", to)
	must(t, err)
	defer receiver.Close()
	c, err := net.Dial("udp", to)
	must(t, err)
	defer c.Close()
	must(t, receiver.SetReadDeadline(time.Now().Add(patience)))
	for _, w := range words {
		_, err := c.Write([]byte(w))
		must(t, err)
		_, _, err = receiver.ReadFrom(make([]byte, 100))
		must(t, err)
	}
}

// A process is a program in the background.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	stdout bytes.Buffer
	ended  chan error
}

// start runs a program until the test ends.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan error, 1)}
	cmd.Stderr = &p.stderr
	if cmd.Stdout == nil {
		cmd.Stdout = &p.stdout
	}
	must(t, cmd.Start())
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	return p
}

// stop ends the program as a user does, and checks that it is a clean end.
func (p *process) stop(t testing.TB) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t)
}

// wait waits for the program's own end.
func (p *process) wait(t testing.TB) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Fatalf("%v: %v: %s", p.cmd.Args, err, p.stderr.String())
		}
	case <-time.After(patience):
		t.Fatalf("%v does not end: %s", p.cmd.Args, p.stderr.String())
	}
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// bound reports whether programs have the queue and the group of the tests.
func bound() bool { return queueBound() && groupBound() }

func queueBound() bool { return inTable(procfs("nfnetlink_queue"), queueNum) }
func groupBound() bool { return inTable(procfs("nfnetlink_log"), logGroup) }

// procfs names a table of the kernel's, of this namespace.
func procfs(table string) string { return "/proc/thread-self/net/netfilter/" + table }

// inTable reports whether a line of a table of the kernel's starts with n.
func inTable(table string, n int) bool {
	text, _ := os.ReadFile(table)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == fmt.Sprint(n) {
			return true
		}
	}
	return false
}

// tshark reads a capture and returns the fields of each packet, tabs between them.
func tshark(t testing.TB, file string, args ...string) []string {
	t.Helper()
	args = append([]string{"-n", "-r", file, "-T", "fields"}, args...)
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark %v: %v: %s", args, err, err.(*exec.ExitError).Stderr)
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}
