//go:build linux

package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"golang.org/x/sys/unix"
)

// deniable are system calls that the library makes, by their numbers.
var deniable = map[string]uintptr{
	"sendto": unix.SYS_SENDTO, "recvmmsg": unix.SYS_RECVMMSG, "recvfrom": unix.SYS_RECVFROM,
	"connect": unix.SYS_CONNECT, "setsockopt": unix.SYS_SETSOCKOPT, "getsockopt": unix.SYS_GETSOCKOPT, "ioctl": unix.SYS_IOCTL,
}

// bySocketcall are those that the Go packages syscall and x/sys/unix make by one
// system call for all sockets, where a processor has that.
var bySocketcall = map[string]bool{"recvfrom": true, "connect": true, "setsockopt": true, "getsockopt": true}

// deny makes every thread of the program get errno for a system call, as the
// seccomp filter of a container or a service does.
func deny(call uintptr, errno syscall.Errno) error {
	const (
		setModeFilter = 1 // SECCOMP_SET_MODE_FILTER
		allThreads    = 1 // SECCOMP_FILTER_FLAG_TSYNC
		refuse        = 0x00050000
		allow         = 0x7fff0000
	)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number, of struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(call)},
		{Code: unix.BPF_RET | unix.BPF_K, K: refuse | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, err := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, allThreads, uintptr(unsafe.Pointer(&filter)))
	if err != 0 {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

// logWithoutACall reads a log with a system call denied, which it is told on its
// standard input with the errno.
func logWithoutACall() error {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	var call string
	var errno int
	if _, err := fmt.Sscan(in.Text(), &call, &errno); err != nil {
		return err
	}
	from, err := net.Dial("udp", endtoend.IPv4.Address())
	if err != nil {
		return err
	}
	if err := deny(deniable[call], syscall.Errno(errno)); err != nil {
		fmt.Println("skip:", err)
		return nil
	}
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}, Threshold: 1})
	if err == nil {
		from.Write([]byte("x"))
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		for _, err = range r.Packets(ctx) {
			break
		}
	}
	fmt.Printf("permission %v: %v\n", errors.Is(err, os.ErrPermission), err)
	return nil
}

// Where a filter denies a system call, the error names it, and the filter as what
// may be the cause. What the library can do without, it does without.
func TestDeniedSystemCallIsNamed(t *testing.T) {
	for _, c := range []struct {
		call   string
		errno  syscall.Errno
		needed bool
	}{
		{"recvmmsg", unix.EPERM, true},
		{"recvmmsg", unix.ENOSYS, true},
		{"recvfrom", unix.EPERM, true},
		{"connect", unix.EPERM, true},
		{"setsockopt", unix.EPERM, true},
		{"getsockopt", unix.EACCES, true},
		{"sendto", unix.EPERM, true},
		{"ioctl", unix.EPERM, false},
	} {
		t.Run(fmt.Sprintf("%s, %v", c.call, c.errno), func(t *testing.T) {
			if bySocketcall[c.call] && (runtime.GOARCH == "386" || runtime.GOARCH == "s390x") {
				t.Skip("on this processor Go makes it by way of socketcall")
			}
			n := endtoend.NewNet(t)
			endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(3, "", 0, 1))
			endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address()) // somebody has to listen
			h, err := endtoend.StartProcess(t, n, "denied", nil)
			testkit.Must(t, err)
			fmt.Fprintln(h.Stdin.(interface{ Write([]byte) (int, error) }), c.call, int(c.errno))
			got := h.NextLine(t)
			if strings.HasPrefix(got, "skip: ") {
				t.Skip("no filter can be set:", got)
			}
			if !c.needed {
				if got != "permission false: <nil>" {
					t.Errorf("got %s", got)
				}
				return
			}
			wantPermission := fmt.Sprintf("permission %v: ", c.errno != unix.ENOSYS)
			if !strings.HasPrefix(got, wantPermission) || !strings.Contains(got, c.call+": "+c.errno.Error()) || !strings.Contains(got, "seccomp") {
				t.Errorf("got %s", got)
			}
		})
	}
}
