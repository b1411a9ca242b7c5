package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// envLab names the environment variable that tells a process it was started
// inside a lab. Its value is the namespace left behind, as in "net:[4026531840]",
// so that a variable that came from elsewhere cannot open the host's namespace
// to a test.
const envLab = "NFPACKET_LAB"

// A ForbiddenError reports that the system does not let this process make a
// network namespace of its own. Its text tells what to change.
type ForbiddenError struct {
	Err error // what the kernel answered, wrapping the errno
}

// Error returns one sentence: what was refused, and what would allow it.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("lab: this system refuses a private network namespace (%v): %s", e.Err, remedy())
}

// Unwrap returns the kernel's answer.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// Enter moves the program into a network namespace of its own, in which it is
// root: as root with CLONE_NEWNET alone, otherwise in a user namespace too.
//
// A running Go program cannot move, so Enter runs the same executable again
// with the same arguments, environment and standard streams, hands SIGINT,
// SIGTERM and SIGQUIT on to it, waits for it and exits with its status. It
// returns nil in that second process, with the loopback device up, and returns
// in the first one only to report an error: a [*ForbiddenError] where the system
// allows no namespaces. Call it first in main or TestMain.
func Enter() error {
	if os.Getenv(envLab) == "" {
		return reenter()
	}
	if err := checkInside(); err != nil {
		return err
	}
	return settleHere()
}

// checkInside returns an error unless this process was started inside a lab.
func checkInside() error {
	outside := os.Getenv(envLab)
	if outside == "" {
		return errors.New("lab: the process has not entered a lab")
	}
	here, err := namespaceHere()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(outside, "net:[") || here == outside {
		return fmt.Errorf("lab: %s=%s in the environment was not set by a lab: unset it", envLab, outside)
	}
	return nil
}

// namespaceHere returns what /proc calls the network namespace of the thread.
func namespaceHere() (string, error) {
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("lab: a lab is made through /proc, which is not mounted here (mount -t proc proc /proc): %w", err)
	}
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	return name, nil
}

// settleHere makes the namespace that Enter started the process in usable.
func settleHere() error {
	n, err := Here()
	if err != nil {
		return err
	}
	defer n.Close()
	err = n.settle()
	if errors.Is(err, unix.EPERM) {
		// AppArmor's way to restrict user namespaces is to grant one that
		// has no capabilities in it.
		return &ForbiddenError{err}
	}
	return err
}

// reenter does not return when the second process has been started.
func reenter() error {
	outside, err := namespaceHere()
	if err != nil {
		return err
	}
	env := append(os.Environ(), envLab+"="+outside)

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	// Pdeathsig strikes when the thread that started the child ends, not the
	// process, so this thread must stay.
	runtime.LockOSThread()
	cmd, err := startInside(env)
	if err != nil {
		runtime.UnlockOSThread()
		signal.Stop(signals)
		return err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // fails only when the child is gone
		}
	}()
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return fmt.Errorf("lab: wait for the process inside: %w", err)
	}
	os.Exit(exitStatus(cmd.ProcessState))
	panic("unreachable")
}

// startInside starts this executable in a namespace, taking the least means
// that suffices: a namespace alone needs CAP_SYS_ADMIN.
func startInside(env []string) (*exec.Cmd, error) {
	cmd, err := start(env, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	if errors.Is(err, unix.EPERM) {
		cmd, err = start(env, &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		})
	}
	for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, errno) {
			return nil, &ForbiddenError{err}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return cmd, nil
}

func start(env []string, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
	attr.Pdeathsig = unix.SIGKILL
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        os.Args,
		Env:         env,
		Stdin:       os.Stdin,
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		SysProcAttr: attr,
	}
	return cmd, cmd.Start()
}

// exitStatus is the status a shell would give.
func exitStatus(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// remedy says what would make Enter work, as far as the system tells.
func remedy() string {
	for _, knob := range []struct{ path, forbids, remedy string }{
		{"kernel/unprivileged_userns_clone", "0", "run as root, or set sysctl kernel.unprivileged_userns_clone=1"},
		{"user/max_user_namespaces", "0", "run as root, or raise sysctl user.max_user_namespaces"},
		{"user/max_net_namespaces", "0", "raise sysctl user.max_net_namespaces"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "run as root, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		if v, err := os.ReadFile("/proc/sys/" + knob.path); err == nil && strings.TrimSpace(string(v)) == knob.forbids {
			return knob.remedy
		}
	}
	return "run as root; in a container, start it with --privileged or with a seccomp profile that permits clone and unshare"
}
