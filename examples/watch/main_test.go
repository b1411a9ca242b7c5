//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestFlowsArePrintedWhereThereIsNoTerminal(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-every", "50ms", "-drop", "9998,9999")
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	exampletest.ReceiveNothing(t, to)
	for {
		if line := p.Next(); strings.Contains(line, "> 127.0.0.1:9999: ") {
			if !strings.HasSuffix(line, " 0 accepted, 1 dropped") {
				t.Error(line)
			}
			return
		}
	}
}

// watchDemo returns the program with -demo, to be started outside of any lab.
func watchDemo(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"-demo", "-every", "100ms"}, args...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "NFPACKET_LAB=") }), "NFPACKET_EXAMPLE=1")
	return cmd
}

func TestDemoShowsItsOwnTraffic(t *testing.T) {
	exampletest.Net(t)
	out, err := watchDemo("-frame", "100x20").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"udp 192.0.2.2:", "udp [2001:db8::2]:", "> 192.0.2.1:53 ", "> [2001:db8::1]:5003 ", "\x1b[31m"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the frame lacks %q:\n%s", want, out)
		}
	}
}

// terminal returns both ends of a pseudo-terminal with a window.
func terminal(t *testing.T, window size) (control, user *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { control.Close() })
	testkit.Must(t, unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	testkit.Must(t, err)
	user, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	testkit.Must(t, err)
	t.Cleanup(func() { user.Close() })
	testkit.Must(t, unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(window.width), Row: uint16(window.height)}))
	return control, user
}

// A transcript is what was written to a terminal.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *transcript) read(r io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		s.mu.Lock()
		s.all.Write(b[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// await waits until text appears behind the first skip bytes.
func (s *transcript) await(t *testing.T, skip int, text string) {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); !strings.Contains(s.String()[skip:], text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q in %q", text, s.String()[skip:])
		}
	}
}

func TestTerminalIsDrawnObeysKeysAndIsRestored(t *testing.T) {
	exampletest.Net(t)
	control, user := terminal(t, size{100, 20})
	before, err := unix.IoctlGetTermios(int(user.Fd()), unix.TCGETS)
	testkit.Must(t, err)
	cmd := watchDemo()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = user, user, user
	testkit.Must(t, cmd.Start())
	defer cmd.Process.Kill()
	var drawn transcript
	go drawn.read(control)

	drawn.await(t, 0, enterScreen)
	drawn.await(t, 0, "> 192.0.2.1:53 ")
	// With the destination: the kernel's choice of a source port may contain any number.
	io.WriteString(control, "/> 192.0.2.1:5003\r")
	drawn.await(t, 0, "[> 192.0.2.1:5003] 1 of ")
	io.WriteString(control, "p")
	drawn.await(t, 0, "PAUSED [> 192.0.2.1:5003]")
	io.WriteString(control, "q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("q ended it with %v", err)
	}
	drawn.await(t, 0, leaveScreen)
	after, err := unix.IoctlGetTermios(int(user.Fd()), unix.TCGETS)
	testkit.Must(t, err)
	if *after != *before {
		t.Errorf("the terminal is left as %+v, and was %+v", after, before)
	}
}
