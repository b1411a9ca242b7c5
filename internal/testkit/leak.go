package testkit

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
	"time"
)

// WithoutLeaks returns a test run that fails if m leaves goroutines or descriptors
// behind:
//
//	func TestMain(m *testing.M) { os.Exit(testkit.WithoutLeaks(m).Run()) }
func WithoutLeaks(m interface{ Run() int }) interface{ Run() int } { return leakCheck{m} }

type leakCheck struct{ m interface{ Run() int } }

// Run runs the tests and then the check, and returns the exit status.
func (l leakCheck) Run() int {
	check := NoLeaks()
	status := l.m.Run()
	if err := check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// leakGrace is how long the check of NoLeaks waits for what is on its way out.
const leakGrace = 2 * time.Second

// NoLeaks notes which goroutines run and which descriptors are open. The
// function it returns waits until the newer ones are gone, for two seconds at
// most, and then returns an error that names those left. Use it around a whole
// test run, or around a test while no other runs.
func NoLeaks() (check func() error) {
	startPoller()
	goroutines, descriptors := openGoroutines(), openDescriptors()
	return func() error {
		for end := time.Now().Add(leakGrace); ; time.Sleep(5 * time.Millisecond) {
			err := errors.Join(
				leaked(goroutines, openGoroutines()),
				leaked(descriptors, openDescriptors()),
			)
			if err == nil || time.Now().After(end) {
				return err
			}
		}
	}
}

// leaked names what is in now and not in before. Both map names to particulars.
func leaked(before, now map[string]string) error {
	var errs []error
	for name, particulars := range now {
		if _, ok := before[name]; !ok {
			errs = append(errs, fmt.Errorf("testkit: leaked %s%s", name, particulars))
		}
	}
	return errors.Join(errs...)
}

// openGoroutines returns the stacks of all goroutines but the calling one.
func openGoroutines() map[string]string {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := make(map[string]string)
	for _, stack := range strings.Split(string(buf[:n]), "\n\n")[1:] {
		// The first signal.Notify starts a goroutine for the life of the process.
		if name, particulars, ok := strings.Cut(stack, " ["); ok && !strings.Contains(stack, "os/signal.loop") {
			all[name] = " [" + particulars
		}
	}
	return all
}

// openDescriptors returns the numbers of all descriptors with what they refer to.
func openDescriptors() map[string]string {
	const dir = "/proc/self/fd"
	all := make(map[string]string)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		// The one used to read the directory is gone by now.
		if target, err := os.Readlink(path.Join(dir, e.Name())); err == nil {
			all["descriptor "+e.Name()+" of "+target] = ""
		}
	}
	return all
}

// startPoller makes the runtime open the descriptors that it keeps for polling.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}
