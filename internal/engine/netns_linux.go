package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openProc opens a file below /proc/net on a thread that is in the socket's
// namespace; an open file of procfs stays with that.
func openProc(t transport, name string) (f *os.File, err error) {
	err = inNetNS(t, func() error {
		f, err = os.Open(filepath.Join("/proc/thread-self/net", name))
		return explainProc(err)
	})
	return f, err
}

// explainProc adds to the failure to open a file of /proc what is missing.
func explainProc(err error) error {
	switch {
	case err == nil:
	case errors.Is(err, os.ErrPermission):
		err = fmt.Errorf("%w: opening it is permitted to its owner, usually root (mode 0440), and with CAP_DAC_READ_SEARCH; CAP_NET_ADMIN is not sufficient", err)
	case errors.Is(err, os.ErrNotExist):
		if _, nothing := os.Stat("/proc/self"); nothing != nil {
			err = fmt.Errorf("%w: /proc is not mounted", err)
		} else {
			err = fmt.Errorf("%w: the kernel module that lists it is not loaded, or the kernel is built without it", err)
		}
	}
	return err
}

// firstUserNS is the inode of the system's first user namespace, PROC_USER_INIT_INO
// of linux/proc_ns.h.
const firstUserNS = 0xeffffffd

// inUserNamespace implements Conn.InUserNamespace.
func inUserNamespace(t transport) bool {
	inode, _ := netNSOwner(t)
	return inode != 0 && inode != firstUserNS
}

// foreignNetNS implements Conn.InForeignNetNS.
func foreignNetNS(t transport) bool {
	_, foreign := netNSOwner(t)
	return foreign
}

// netNSOwner returns the inode of the user namespace that has the socket's
// network namespace, 0 if that is not known. The kernel does not return an owner
// that is neither the program's own user namespace nor below it (ns_get_owner).
// Such an owner is foreign.
func netNSOwner(t transport) (inode uint64, foreign bool) {
	if s, ok := t.(*socket); !ok || !s.kernel {
		return 0, false
	}
	ns, err := netNS(t)
	if err != nil {
		return 0, false
	}
	defer ns.Close()
	fd, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return 0, err == unix.EPERM
	}
	defer unix.Close(fd)
	var owner unix.Stat_t
	if unix.Fstat(fd, &owner) != nil {
		return 0, false
	}
	return owner.Ino, false
}

// inNetNS calls f on a thread that is in the network namespace of t's socket.
func inNetNS(t transport, f func() error) error {
	if s, ok := t.(*socket); ok {
		if done, err := s.ifHere(f); done {
			return err
		}
	}
	ns, err := netNS(t)
	if err != nil {
		return err
	}
	defer ns.Close()
	return inside(ns, f)
}

// ifHere calls f if the calling thread is in the socket's network namespace, which
// takes neither a privilege nor /proc to find out, and reports whether it did.
// Before Linux 5.14 (SO_NETNS_COOKIE) it never does.
func (s *socket) ifHere(f func() error) (done bool, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var there uint64
	err = s.control(func(fd int) (err error) {
		there, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
	if err != nil {
		return false, nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return false, nil
	}
	here, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	unix.Close(fd)
	if err != nil || here != there {
		return false, nil
	}
	return true, f()
}

// inside calls f on a thread that is in ns.
func inside(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- visit(ns, f) }()
	return <-done
}

// visit calls f in ns. A thread that cannot return to its namespace stays locked, and
// ends with the goroutine.
func visit(ns *os.File, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("leave the program's network namespace: %w", explainProc(err))
	}
	defer home.Close()
	if err := enter(ns, home); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if enter(home, ns) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// netNS returns the network namespace of t's socket.
func netNS(t transport) (*os.File, error) {
	s, ok := t.(*socket)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	var fd int
	err := s.control(func(sock int) (err error) {
		fd, err = unix.IoctlRetInt(sock, unix.SIOCGSKNS)
		return err
	})
	if errors.Is(err, unix.EPERM) {
		if here, err := s.ownNetNS(); err == nil {
			return here, nil
		}
	}
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("find the network namespace of a socket that is not in that of the program: %w: it needs CAP_NET_ADMIN over the socket's", err)
	}
	if err != nil {
		return nil, fmt.Errorf("find the network namespace of a socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "network namespace"), nil
}

// ownNetNS returns the program's network namespace if the socket is in the list
// of that, for which no privilege is needed.
func (s *socket) ownNetNS() (*os.File, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var stat unix.Stat_t
	if err := s.control(func(sock int) error { return unix.Fstat(sock, &stat) }); err != nil {
		return nil, err
	}
	list, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) > NetlinkInode && f[NetlinkInode] == strconv.FormatUint(stat.Ino, 10) {
			return os.Open("/proc/thread-self/ns/net")
		}
	}
	return nil, unix.EPERM
}

// enter moves the calling thread to another namespace, unless that is the one
// it is in: moving takes a privilege that a program in its own need not have.
func enter(to, from *os.File) error {
	there, err := to.Stat()
	if err != nil {
		return err
	}
	here, err := from.Stat()
	if err != nil || os.SameFile(here, there) {
		return err
	}
	err = os.NewSyscallError("setns", unix.Setns(int(to.Fd()), unix.CLONE_NEWNET))
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: it needs CAP_SYS_ADMIN over the socket's network namespace and over the program's", err)
	}
	return err
}
