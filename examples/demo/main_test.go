//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// envRole is set in a process that is the demo: as it is, or after confine.
const envRole = "NFPACKET_DEMO"

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "demo":
		main()
		os.Exit(0)
	case "":
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, confine(os.Getenv(envRole)))
	os.Exit(1)
}

// demo runs the demo with the role and returns what it prints.
func demo(t *testing.T, role string, flags uintptr) (string, error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envRole+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// confine makes of this process one in a container: /proc/sys is read-only, and
// there are no more capabilities than the container was given. Then it is the demo.
func confine(role string) error {
	runtime.LockOSThread()
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, "")
	}
	if err == nil {
		err = unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		return err
	}
	given := map[string][]uintptr{
		"default": {unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN, unix.CAP_NET_RAW, unix.CAP_CHOWN, unix.CAP_SETUID, unix.CAP_SETGID},
		"alone":   {unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN},
	}[role]
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if !slices.Contains(given, c) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return err
			}
		}
	}
	os.Setenv(envRole, "demo")
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

func TestDemoAccountsForEveryPacket(t *testing.T) {
	out, err := demo(t, "demo", 0)
	if err != nil || !strings.HasSuffix(out, "messages sent: 14, 14 as expected\nevery packet is accounted for\n") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestDemoRunsInAContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("containers' mounts are to root only")
	}
	for role, messages := range map[string]int{"default": 14, "alone": 10} {
		t.Run(role, func(t *testing.T) {
			out, err := demo(t, role, unix.CLONE_NEWNS)
			want := fmt.Sprintf("messages sent: %d, %d as expected\nevery packet is accounted for\n", messages, messages)
			if err != nil || !strings.HasSuffix(out, want) {
				t.Errorf("%v:\n%s", err, out)
			}
			if strings.Contains(out, "without pings") != (role == "alone") {
				t.Errorf("pings depend on CAP_NET_RAW:\n%s", out)
			}
		})
	}
}
