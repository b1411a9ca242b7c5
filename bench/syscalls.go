package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// traced are the system calls that a packet can cost.
const traced = "trace=recvmmsg,recvmsg,recvfrom,sendmsg,sendto,epoll_pwait,futex,nanosleep"

// countCalls drains a queue under strace, which counts the system calls of all
// programs alike, and takes so long that nothing else is measured.
func countCalls(packets int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		strace, err := exec.LookPath("strace")
		if err != nil {
			return s, fmt.Errorf("%w: no strace: apt-get install strace", errUnsupported)
		}
		report := filepath.Join(h.dir, "strace.out")
		p, err := launch(append([]string{strace, "-f", "-c", "-o", report, "-e", traced},
			h.command(e, packets)...)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := h.site.fill(ports(1), packets, 64); err != nil {
			return s, err
		}
		if err := p.release(); err != nil {
			return s, err
		}
		if s.Result, err = p.result(); err != nil {
			return s, err
		}
		s.WallNS, s.UserNS, s.SysNS = 0, 0, 0
		s.Calls, err = totalCalls(report)
		return s, err
	}
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
