//go:build linux

package lab_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// program names the environment variable that makes the test binary be one of
// the programs below instead, started outside a lab.
const program = "LAB_TEST_PROGRAM"

var programs = map[string]func(){
	"exit 7":    func() { enter(); os.Exit(7) },
	"kill":      func() { enter(); _ = unix.Kill(os.Getpid(), unix.SIGKILL) },
	"root":      func() { enter(); fmt.Println(os.Getuid()) },
	"arguments": func() { enter(); fmt.Println(os.Args[1:]) },
	"wait":      wait,
	"forbidden": forbidden,
	"no proc":   noProc,
}

func TestMain(m *testing.M) {
	if f, ok := programs[os.Getenv(program)]; ok {
		f()
		return
	}
	os.Exit(lab.TestMain(testkit.WithoutLeaks(m)))
}

type runner func() int

func (r runner) Run() int { return r() }

func enter() {
	if err := lab.Enter(); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}

// wait says that it is ready and waits for a signal.
func wait() {
	signals := make(chan os.Signal, 1)
	enter()
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	fmt.Println("ready")
	select {
	case s := <-signals:
		fmt.Println(s)
	case <-time.After(10 * time.Second):
		fmt.Println("no signal")
	}
}

// forbidden has its user namespace allow no more network namespaces.
func forbidden() {
	if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0); err != nil {
		fmt.Println(err)
		return
	}
	err := lab.Enter()
	var refused *lab.ForbiddenError
	fmt.Println(errors.As(err, &refused), errors.Is(err, unix.ENOSPC), err)

	status := lab.TestMain(runner(func() int {
		var tb fakeTB
		lab.Require(&tb)
		fmt.Println(tb.called, tb.text)
		return 7
	}))
	fmt.Println(status)
}

// noProc hides /proc from itself.
func noProc() {
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		fmt.Println(err)
		return
	}
	enter()
}

// fakeTB notes how a test was ended.
type fakeTB struct{ called, text string }

func (*fakeTB) Helper()                        {}
func (f *fakeTB) Skipf(s string, args ...any)  { f.called, f.text = "Skipf", fmt.Sprintf(s, args...) }
func (f *fakeTB) Fatalf(s string, args ...any) { f.called, f.text = "Fatalf", fmt.Sprintf(s, args...) }

// outside returns the named program as a command that has entered no lab.
func outside(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NFPACKET_LAB=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, program+"="+name)
	return cmd
}

func TestEnterPassesExitStatusOn(t *testing.T) {
	lab.Require(t)
	for name, want := range map[string]int{"exit 7": 7, "kill": 128 + int(unix.SIGKILL)} {
		var exit *exec.ExitError
		if err := outside(name).Run(); !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%s: %v, want status %d", name, err, want)
		}
	}
}

func TestEnterMakesRoot(t *testing.T) {
	lab.Require(t)
	out, err := outside("root").Output()
	testkit.Must(t, err)
	if string(out) != "0\n" {
		t.Errorf("user %q inside, want 0", out)
	}
}

func TestEnterPassesArgumentsOn(t *testing.T) {
	lab.Require(t)
	out, err := outside("arguments", "a b", "-c").Output()
	testkit.Must(t, err)
	if string(out) != "[a b -c]\n" {
		t.Errorf("arguments %q inside", out)
	}
}

func TestEnterPassesSignalsOn(t *testing.T) {
	lab.Require(t)
	for _, s := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		cmd, lines := startWaiting(t)
		testkit.Must(t, cmd.Process.Signal(s))
		if lines.Scan(); lines.Text() != s.String() {
			t.Errorf("%q arrived inside, want %v", lines.Text(), s)
		}
		testkit.Must(t, cmd.Wait())
	}
}

// startWaiting starts the program wait, and returns it when it is ready, with
// the lines that it will print.
func startWaiting(t *testing.T) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := outside("wait")
	r, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("no output: ", lines.Err())
	}
	return cmd, lines
}

// The process inside must not outlive the one outside, whatever ends that.
func TestEnterDiesWithItsParent(t *testing.T) {
	lab.Require(t)
	cmd, lines := startWaiting(t)
	testkit.Must(t, cmd.Process.Kill())
	// Both hold the other end of the pipe: its end of file is the end of both.
	if lines.Scan() {
		t.Errorf("%q printed after the parent's death", lines.Text())
	}
	_ = cmd.Wait()
}

// Where labs are impossible, tests are skipped, or fail if that is asked for.
func TestForbidden(t *testing.T) {
	lab.Require(t)
	const reason = "lab: this system refuses a private network namespace " +
		"(fork/exec /proc/self/exe: no space left on device): raise sysctl user.max_net_namespaces\n"
	for kernel, want := range map[string]string{
		"":        "true true " + reason + "Skipf " + reason + "7\n",
		"require": "true true " + reason + reason + "1\n",
	} {
		cmd := outside("forbidden")
		cmd.Env = append(cmd.Env, "NFPACKET_KERNEL="+kernel)
		// In a user namespace of its own the program can set limits that
		// bind only itself.
		cmd.SysProcAttr = inUserNamespace(0)
		out, err := cmd.CombinedOutput()
		testkit.Must(t, err)
		if string(out) != want {
			t.Errorf("NFPACKET_KERNEL=%s:\ngot  %q\nwant %q", kernel, out, want)
		}
	}
}

func TestEnterSaysThatProcIsMissing(t *testing.T) {
	lab.Require(t)
	cmd := outside("no proc")
	cmd.SysProcAttr = inUserNamespace(unix.CLONE_NEWNS)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), "mount -t proc proc /proc") {
		t.Errorf("%v, and said %q", err, out)
	}
}

// inUserNamespace starts a program as root of a user namespace of its own, and
// with the other namespaces in flags.
func inUserNamespace(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
}

func TestEnterMistrustsItsEnvironment(t *testing.T) {
	lab.Require(t)
	here, err := os.Readlink("/proc/self/ns/net")
	testkit.Must(t, err)
	for _, value := range []string{"1", here} {
		t.Setenv("NFPACKET_LAB", value)
		if err := lab.Enter(); err == nil {
			t.Errorf("NFPACKET_LAB=%s: Enter did not complain", value)
		}
		if _, err := lab.Here(); err == nil {
			t.Errorf("NFPACKET_LAB=%s: Here did not complain", value)
		}
	}
}
