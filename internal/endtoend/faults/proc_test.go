//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// showWithoutProc hides /proc, and tells what Links and KernelStats say.
func showWithoutProc() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Println("skip:", err)
		return nil
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		fmt.Println("skip:", err)
		return nil
	}
	return showKernel()
}

// showKernel tells, in a line each, what Links says of interface 1 and which errors
// KernelStats has for a log and for a queue.
func showKernel() error {
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}})
	if err != nil {
		return err
	}
	defer r.Close()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3})
	if err != nil {
		return err
	}
	defer q.Close()
	l, err := r.Links()
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Name(1))
	_, err = r.KernelStats()
	fmt.Printf("permission %v: %v\n", errors.Is(err, os.ErrPermission), err)
	_, err = q.KernelStats()
	fmt.Printf("permission %v: %v\n", errors.Is(err, os.ErrPermission), err)
	return nil
}

// wantNoStats fails the test unless the helper knows the name of lo, and says that
// KernelStats fails, and why.
func wantNoStats(t *testing.T, h *endtoend.Process, permission bool, why string) {
	t.Helper()
	got := h.NextLine(t)
	if strings.HasPrefix(got, "skip: ") {
		t.Skip("/proc cannot be hidden:", got)
	}
	if got != "lo" {
		t.Fatalf("interface 1: %s", got)
	}
	for _, of := range []string{"log", "queue"} {
		if got := h.NextLine(t); !strings.HasPrefix(got, fmt.Sprintf("permission %v: ", permission)) || !strings.Contains(got, why) {
			t.Errorf("%s: %s", of, got)
		}
	}
}

// Where there is no /proc, names are known all the same, and what else needs it
// says so.
func TestWithoutProc(t *testing.T) {
	c, err := nfnl.Dial(nfnl.Config{})
	testkit.Must(t, err)
	defer c.Close()
	raw, err := c.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) {
		_, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	}))
	if err != nil {
		t.Skip("before Linux 5.14 it takes /proc to know in which namespace a socket is:", err)
	}
	h, err := endtoend.StartProcess(t, endtoend.NewNet(t), "procless", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS})
	if errors.Is(err, unix.EPERM) {
		t.Skip("this system refuses a mount namespace:", err)
	}
	testkit.Must(t, err)
	wantNoStats(t, h, false, "/proc is not mounted")
}

// A user with CAP_NET_ADMIN alone, as setcap or AmbientCapabilities gives it, opens
// all, but does not see the kernel's lists, which belong to root.
func TestUserWithTheCapabilityHasNoKernelStats(t *testing.T) {
	const nobody = 65534
	h, err := endtoend.StartProcess(t, endtoend.NewNet(t), "user", &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN},
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		t.Skip("this user cannot become another:", err)
	}
	testkit.Must(t, err)
	wantNoStats(t, h, true, "usually root (mode 0440)")
}
