//go:build linux

// Package exampletest runs an example as the process that a user starts, in a
// network namespace of its own, on the rules that its -rules prints.
//
//	func TestMain(m *testing.M) { exampletest.Main(m, main) }
//
//	func TestX(t *testing.T) {
//		n := exampletest.Net(t)
//		p := exampletest.Start(t, n, "-drop", "example.com")
//		...
//	}
package exampletest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// Silence is how long a test waits for what must not come.
const Silence = 200 * time.Millisecond

// envExample is set in a process that is to be the example.
const envExample = "NFPACKET_EXAMPLE"

// Main runs the tests, or the example in a process that a test has started.
func Main(m *testing.M, main func()) {
	if os.Getenv(envExample) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(lab.TestMain(m))
}

// Net returns a network namespace, which ends with the test. The test is skipped
// where there are none.
func Net(t *testing.T) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// A Process is a running example.
type Process struct {
	Cmd   *exec.Cmd
	Rules []*lab.Rule // what -rules prints, in that order

	t     *testing.T
	lines chan string // of standard output
	ended sync.Once
	pipes sync.WaitGroup // which are read to their ends before Cmd.Wait closes them

	mu  sync.Mutex
	log bytes.Buffer // standard error
}

// Start runs the example with these arguments until it is ready, and installs its
// rules. When the test ends it gets SIGTERM, and must then end without an error.
func Start(t *testing.T, n *lab.Net, args ...string) *Process {
	t.Helper()
	p := Run(t, n, args...)
	p.Rules = Install(t, n, args...)
	return p
}

// Run is Start without the rules.
func Run(t *testing.T, n *lab.Net, args ...string) *Process {
	t.Helper()
	p, ready := run(t, n, command(args...))
	if !ready {
		t.Fatalf("the example ended: %s", p.Log())
	}
	return p
}

// run starts the example, and reports whether it got ready: else it has ended.
func run(t *testing.T, n *lab.Net, cmd *exec.Cmd) (p *Process, ready bool) {
	t.Helper()
	p = &Process{Cmd: cmd, t: t, lines: make(chan string, 10000)}
	out, err := p.Cmd.StdoutPipe()
	testkit.Must(t, err)
	errs, err := p.Cmd.StderrPipe()
	testkit.Must(t, err)
	testkit.Must(t, n.Do(p.Cmd.Start))
	t.Cleanup(p.Stop)
	p.pipes.Go(func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	})
	said := make(chan bool, 1)
	p.pipes.Go(func() { p.readLog(errs, said) })
	select {
	case ready = <-said:
	case <-time.After(testkit.Patience):
		t.Fatalf("the example is not ready: %s", p.Log())
	}
	return p, ready
}

// command returns the example, not yet started.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envExample+"=1")
	return cmd
}

// readLog collects standard error, and reports once whether the example got ready.
func (p *Process) readLog(r io.Reader, ready chan<- bool) {
	for s := bufio.NewScanner(r); s.Scan(); {
		p.mu.Lock()
		p.log.WriteString(s.Text() + "\n")
		p.mu.Unlock()
		if strings.Contains(s.Text(), "ready") && ready != nil {
			ready <- true
			ready = nil
		}
	}
	if ready != nil {
		ready <- false
	}
}

// Log returns what the example has written to standard error.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Next returns the next line of standard output.
func (p *Process) Next() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("the example ended: %s", p.Log())
		}
		return line
	case <-time.After(testkit.Patience):
		p.t.Fatalf("no line of output came; the log: %s", p.Log())
		return ""
	}
}

// Rest returns a line of standard output that an example which has ended left, if
// there is one.
func (p *Process) Rest() (line string, ok bool) {
	line, ok = <-p.lines
	return line, ok
}

// Stop ends the example as a user does, and waits for it.
func (p *Process) Stop() {
	p.t.Helper()
	p.ended.Do(func() {
		p.Cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(testkit.Patience, func() { p.Cmd.Process.Kill() })
		defer late.Stop()
		p.pipes.Wait()
		if err := p.Cmd.Wait(); err != nil {
			p.t.Errorf("SIGTERM ended the example with %v: %s", err, p.Log())
		}
	})
}

// Kill ends the example with SIGKILL.
func (p *Process) Kill() {
	p.ended.Do(func() {
		p.Cmd.Process.Kill()
		p.pipes.Wait()
		p.Cmd.Wait()
	})
}

// Wait waits for an example that is to end by itself, and returns how it did.
func (p *Process) Wait() (err error) {
	p.t.Helper()
	p.ended.Do(func() {
		late := time.AfterFunc(testkit.Patience, func() {
			p.t.Errorf("the example does not end")
			p.Cmd.Process.Kill()
		})
		defer late.Stop()
		p.pipes.Wait()
		err = p.Cmd.Wait()
	})
	return err
}
