//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// moreMemory is how much a helper may take beyond what it has, in bytes: less
// than what passes through its queue and its log.
const moreMemory = 48 << 20

// workInLittleMemory decides on what comes to queue 3 and reads group 3, with
// a small memory limit for the garbage collector and one of the
// kernel for the process. It tells how much memory that took.
func workInLittleMemory() error {
	debug.SetMemoryLimit(16 << 20)
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}})
	if err != nil {
		return err
	}
	defer r.Close()
	// As it was where nothing can be rewritten.
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3, Fallback: nfqueue.Accept()})
	if err != nil {
		return err
	}
	defer q.Close()
	had, err := dataSize()
	if err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: uint64(had + moreMemory), Max: uint64(had + moreMemory)}
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &limit); err != nil {
		return err
	}
	go readLog(r)
	fmt.Println("ready")
	n := 0
	err = q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if string(p.Payload[endtoend.IPv4.Headers:]) == "end" {
			q.Close()
		}
		switch n++; n % 10 {
		case 0:
			return nfqueue.HoldFor(time.Millisecond, nfqueue.Accept())
		case 5:
			return nfqueue.Accept().WithPayload(p.Payload)
		}
		return nfqueue.Accept()
	})
	has, err2 := dataSize()
	fmt.Printf("%d packets, %d KiB more, %v\n", n, (has-had)>>10, errors.Join(err, err2))
	return nil
}

// dataSize returns the size of what RLIMIT_DATA limits.
func dataSize() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^VmData:\s*(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		return 0, fmt.Errorf("no VmData in %q", status)
	}
	n, err := strconv.Atoi(string(m[1]))
	return n << 10, err
}

// Memory is taken at the start and used again: more bytes pass through a program
// than it may have.
func TestLittleMemorySuffices(t *testing.T) {
	const packets, size = 600, 60000
	n := endtoend.NewNet(t)
	endtoend.AddRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(3, "", 0, 0), lab.Queue(3))
	h, err := endtoend.StartProcess(t, n, "frugal", nil)
	testkit.Must(t, err)
	if got := h.NextLine(t); got != "ready" {
		t.Fatalf("the helper says %q", got)
	}
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	body := strings.Repeat("x", size)
	for range packets { // one after the other, so that none is lost
		endtoend.Send(t, from, body)
		endtoend.WantReceived(t, to, body)
	}
	endtoend.Send(t, from, "end")
	if got := h.NextLine(t); !strings.HasPrefix(got, strconv.Itoa(packets+1)+" packets, ") || !strings.HasSuffix(got, "closed network connection") {
		t.Errorf("the helper says %q", got)
	} else {
		t.Log(got)
	}
}
