package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/nfpacket/nfpacket/examples/internal/socket"
	"github.com/nfpacket/nfpacket/nfnl"
)

// beginAnew runs the program again in its place, with the connection's socket and
// nothing else. Privileges belong to threads: execve ends all but this one.
func beginAnew(conn *nfnl.Conn) error {
	fd, err := socket.Dup(conn)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := confine(); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), fmt.Sprintf("%s=%d", envSocket, fd)))
}

// Numbers of linux/prctl.h and linux/capability.h.
const (
	prCapBsetDrop   = 24 // PR_CAPBSET_DROP
	prSetNoNewPrivs = 38 // PR_SET_NO_NEW_PRIVS
	capVersion3     = 0x20080522
	nobody          = 65534
)

// confine takes every privilege from the calling thread, and any way to get one.
func confine() error {
	for capability := uintptr(0); ; capability++ { // else execve gives root all of them
		_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapBsetDrop, capability, 0)
		if errno == syscall.EINVAL {
			break // there are no more
		}
		if errno != 0 {
			return fmt.Errorf("drop capability %d: %w", capability, errno)
		}
	}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("no new privileges: %w", errno)
	}
	// In a user namespace there may be no nobody to be; it then stays who it is.
	syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0)
	syscall.RawSyscall(syscall.SYS_SETRESGID, nobody, nobody, nobody)
	syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody)
	header := struct {
		version uint32
		pid     int32
	}{version: capVersion3}
	var none [2]struct{ effective, permitted, inheritable uint32 }
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	return nil
}
