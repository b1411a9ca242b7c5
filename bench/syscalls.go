package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// countCalls drains a queue under strace, which counts the system calls of all
// programs alike, and takes so long that nothing else is measured.
func countCalls(packets int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		p, err := launch(h.command(e, packets)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		// First, for a program may be woken by each packet, and go back to sleep.
		if err := h.site.fill(ports(1), packets, 64); err != nil {
			return s, err
		}
		return h.trace(p, p.release)
	}
}

// countCallsOneAtATime is countCalls for packets each of which comes when the one
// before it is decided.
func countCallsOneAtATime(trips int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		p, err := launch(append([]string{h.path(e.program)}, e.args...)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := p.release(); err != nil {
			return s, err
		}
		return h.trace(p, func() error {
			defer p.stop()
			_, err := h.ping(pingPort, trips)
			return err
		})
	}
}

// trace counts the system calls of p while f runs, and until p ends.
func (h *harness) trace(p *process, f func() error) (s sample, err error) {
	report := filepath.Join(h.dir, "strace.out")
	strace, err := attach(p.cmd.Process.Pid, report)
	if err != nil {
		return s, err
	}
	defer strace.Wait() // it ends with the program
	if err := f(); err != nil {
		return s, err
	}
	if s.Result, err = p.result(); err != nil {
		return s, err
	}
	if err := strace.Wait(); err != nil {
		return s, err
	}
	s.WallNS, s.UserNS, s.SysNS = 0, 0, 0
	s.Calls, err = totalCalls(report)
	return s, err
}

// attach has strace count the system calls of a process.
func attach(pid int, report string) (*exec.Cmd, error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("%w: no strace: apt-get install strace", errUnsupported)
	}
	cmd := exec.Command(path, "-f", "-c", "-o", report, "-p", strconv.Itoa(pid))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if traced(pid) {
			return cmd, nil
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return nil, fmt.Errorf("%w: strace cannot attach here", errUnsupported)
}

// traced reports whether all threads of a process have a tracer.
func traced(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, t := range threads {
		status, err := os.ReadFile(t)
		if err != nil || strings.Contains(string(status), "\nTracerPid:\t0\n") {
			return false
		}
	}
	return true
}

// totalCalls reads the sum at the end of what strace -c writes:
//
//	% time     seconds  usecs/call     calls    errors syscall
//	100.00    0.004300           2      2062         1 total
func totalCalls(report string) (int64, error) {
	b, err := os.ReadFile(report)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && f[len(f)-1] == "total" {
			return strconv.ParseInt(f[3], 10, 64)
		}
	}
	return 0, fmt.Errorf("strace wrote no total:\n%s", b)
}
