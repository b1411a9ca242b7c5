//go:build linux

package endtoend

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// This file is for tests that need another process: the test program runs
// itself again, in one of these roles.

// envHelper names the environment variable that has the role.
const envHelper = "NFPACKET_HELPER"

var roles = map[string]func() error{
	"taker":     take3,
	"stranger":  openAsStranger,
	"opener":    handOverSockets,
	"marker":    mark3,
	"lister":    listDescriptors,
	"frugal":    workInLittleMemory,
	"starving":  starve,
	"powerless": useWithoutPrivilege,
	"elsewhere": enterElsewhere,
	"confined":  tellUserNamespace,
	"panicky":   panicInTimer,
	"denied":    logWithoutACall,
	"procless":  showWithoutProc,
	"user":      showKernel,
}

func init() {
	role := roles[os.Getenv(envHelper)]
	if role == nil {
		return
	}
	if err := role(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A helper is another process.
type helper struct {
	*exec.Cmd
	in   io.Closer // its standard input
	says *bufio.Scanner
}

// startHelper starts a helper in the namespace, which ends with the test.
func startHelper(t *testing.T, n *lab.Net, role string, attr *syscall.SysProcAttr, files ...*os.File) (*helper, error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envHelper+"="+role)
	cmd.SysProcAttr, cmd.ExtraFiles, cmd.Stderr = attr, files, os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	if err := n.Do(cmd.Start); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &helper{cmd, in, bufio.NewScanner(out)}, nil
}

// startConfined is startHelper in a user namespace of its own, and other new ones
// by flags. It skips the test where the system refuses that.
func startConfined(t *testing.T, n *lab.Net, role string, flags uintptr) *helper {
	t.Helper()
	h, err := startHelper(t, n, role, &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Skipf("this system refuses another user namespace: %v", err)
	}
	must(t, err)
	return h
}

// next returns the next line that the helper writes.
func (h *helper) next(t *testing.T) string {
	t.Helper()
	line := make(chan string, 1)
	go func() {
		h.says.Scan()
		line <- h.says.Text()
	}()
	return next(t, line)
}

// take3 holds queue 3 and group 3 until the test ends.
func take3() error {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3})
	if err != nil {
		return err
	}
	defer q.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}})
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// openAsStranger tries to open what belongs to another user namespace, and tells
// what came of it.
func openAsStranger() error {
	_, queue := nfqueue.Open(nfqueue.Config{Queue: 3})
	_, group := nflog.Open(nflog.Config{Groups: []uint16{3}})
	fmt.Printf("%v|%v\n", describe(queue, nfqueue.ErrTaken), describe(group, nflog.ErrTaken))
	return nil
}

// describe says what matters of an error, in one line.
func describe(err, taken error) string {
	return fmt.Sprintf("permission %v, taken %v: %s", errors.Is(err, os.ErrPermission), errors.Is(err, taken),
		strings.ReplaceAll(fmt.Sprint(err), "|", "/"))
}

// handOverSockets opens queue 3 and group 3, sends their sockets through
// descriptor 3 and ends.
func handOverSockets() error {
	var fds []int
	for _, bind := range []func() (nfnl.Message, error){
		nfqueue.Config{Queue: 3}.Bind,
		func() (nfnl.Message, error) { return nflog.Config{Threshold: 1}.Bind(3) },
	} {
		conn, err := nfnl.Dial(nfnl.Config{})
		if err != nil {
			return err
		}
		defer conn.Close()
		m, err := bind()
		if err == nil {
			err = conn.Request(m)
		}
		if err != nil {
			return err
		}
		raw, err := conn.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return err
		}
	}
	return unix.Sendmsg(3, []byte("sockets"), unix.UnixRights(fds...), nil, 0)
}

// receiveFiles receives the files that a helper sends through a Unix socket.
func receiveFiles(t *testing.T, from *net.UnixConn) (files []*os.File) {
	t.Helper()
	b, rights := make([]byte, 16), make([]byte, 64)
	_, n, _, _, err := from.ReadMsgUnix(b, rights)
	must(t, err)
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	must(t, err)
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		must(t, err)
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "socket from a helper")
			t.Cleanup(func() { f.Close() })
			files = append(files, f)
		}
	}
	return files
}

// unixPair returns a pair of Unix sockets, one of them to be given to a helper.
func unixPair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	far, near := os.NewFile(uintptr(fds[1]), "helper's end"), os.NewFile(uintptr(fds[0]), "test's end")
	defer near.Close()
	t.Cleanup(func() { far.Close() })
	c, err := net.FileConn(near)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn), far
}
