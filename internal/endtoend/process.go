//go:build linux

package endtoend

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// DupDescriptor returns a copy of the descriptor of a connection.
func DupDescriptor(t *testing.T, conn syscall.Conn) *os.File {
	t.Helper()
	raw, err := conn.SyscallConn()
	testkit.Must(t, err)
	var fd int
	testkit.Must(t, raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }))
	testkit.Must(t, err)
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { f.Close() })
	return f
}

// A Process is the test program run once more, in one of its Roles.
type Process struct {
	*exec.Cmd
	Stdin io.Closer // its standard input
	lines *bufio.Scanner
}

// NextLine returns the next line that the process prints.
func (h *Process) NextLine(t *testing.T) string {
	t.Helper()
	line := make(chan string, 1)
	go func() {
		h.lines.Scan()
		line <- h.lines.Text()
	}()
	return testkit.Next(t, line)
}

// StartProcess starts the test program in the namespace, in a role. It ends with the
// test.
func StartProcess(t *testing.T, n *lab.Net, role string, attr *syscall.SysProcAttr, files ...*os.File) (*Process, error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envRole+"="+role)
	cmd.SysProcAttr, cmd.ExtraFiles, cmd.Stderr = attr, files, os.Stderr
	in, err := cmd.StdinPipe()
	testkit.Must(t, err)
	out, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	if err := n.Do(cmd.Start); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &Process{cmd, in, bufio.NewScanner(out)}, nil
}

// StartInUserNamespace is StartProcess in a new user namespace, and in the other new
// ones that flags name. It skips the test where the system refuses that.
func StartInUserNamespace(t *testing.T, n *lab.Net, role string, flags uintptr) *Process {
	t.Helper()
	h, err := StartProcess(t, n, role, &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Skipf("this system refuses another user namespace: %v", err)
	}
	testkit.Must(t, err)
	return h
}

// envRole names the environment variable that has the role.
const envRole = "NFPACKET_HELPER"
