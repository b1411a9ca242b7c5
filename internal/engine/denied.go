package engine

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// explainDescriptors adds to the lack of descriptors what to do about it.
func explainDescriptors(err error) error {
	if errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("all file descriptors that this program may open are in use: raise RLIMIT_NOFILE (ulimit -n): %w", err)
	}
	return err
}

// explainDenied adds to the refusal of a system call, if netlink is not its origin,
// what may have refused it.
func explainDenied(err error) error {
	var call *os.SyscallError
	if !errors.As(err, &call) {
		return err
	}
	switch call.Err {
	case syscall.EPERM, syscall.EACCES, syscall.ENOSYS:
		return fmt.Errorf("%w: the system call is denied by a seccomp filter (of the container, or systemd's SystemCallFilter=) or a security module", err)
	}
	return err
}
