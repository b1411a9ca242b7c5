package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(tidy{m})) }

// tidy fails a test run that leaves goroutines or sockets behind: the package
// promises that it starts none and that Close frees everything.
type tidy struct{ *testing.M }

func (m tidy) Run() int {
	before := sockets()
	code := m.M.Run()
	var left []string
	for range 200 { // what was told to end may need a moment
		left = leftovers(before)
		if len(left) == 0 {
			return code
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintf(os.Stderr, "left behind:\n%s\n", strings.Join(left, "\n"))
	return 1
}

// leftovers returns the goroutines that run this package's code, but for the
// caller's, and the sockets that were not open before.
func leftovers(before map[string]bool) (left []string) {
	for _, g := range goroutines() {
		if strings.Contains(g, "internal/engine") && !strings.Contains(g, "engine.tidy.Run") {
			left = append(left, g)
		}
	}
	for s := range sockets() {
		if !before[s] {
			left = append(left, s)
		}
	}
	return left
}

// goroutines returns the stacks of all goroutines.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	return strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
}

// sockets returns the process's open sockets; none where /proc does not tell.
func sockets() map[string]bool {
	open := map[string]bool{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			open[to] = true
		}
	}
	return open
}
