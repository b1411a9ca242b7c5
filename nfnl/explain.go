package nfnl

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errNoCapability is what Explain adds to a refusal for want of privilege.
var errNoCapability = errors.New("it needs CAP_NET_ADMIN over the network namespace: run as root, " +
	"with an ambient capability (systemd's AmbientCapabilities=CAP_NET_ADMIN) or a file capability (setcap cap_net_admin+ep PROGRAM), " +
	"in a container with --cap-add NET_ADMIN, or under unshare -Urn")

// errForeignNetNS is that where CAP_NET_ADMIN does not help, for the program has
// it in the wrong user namespace (netlink_ns_capable).
var errForeignNetNS = errors.New("it needs CAP_NET_ADMIN over the network namespace, which the user namespace of this program does not own: run it in the one that does, or under unshare -Urn in a network namespace of its own")

// Explain adds to the kernel's refusal of a configuration message what a
// person can do about it. The message was one of subsystem, about the queue or
// group with that number. To a program that has the privilege EPERM means that
// another socket has it: the result is an ErrTaken then, whose text names the
// program that has it where /proc tells. Any other result matches all that err
// matches.
func (c *Conn) Explain(err error, subsystem uint8, number uint16) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	module := modules[subsystem]
	switch {
	case e.Errno == syscall.EPERM && !c.privileged(subsystem):
		return fmt.Errorf("%w; %w", err, c.noCapability())
	case e.Errno == syscall.EPERM:
		return &takenError{owner: c.owner("netfilter/"+module, number)}
	case e.Errno == syscall.EINVAL && e.Text == "":
		// nfnetlink_rcv_msg: no handler for the subsystem, and none could be loaded.
		return fmt.Errorf("%w; is the kernel module %s there? (try modprobe %s)", err, module, module)
	}
	return err
}

// explainDescriptors adds to the lack of descriptors what to do about it.
func explainDescriptors(err error) error {
	if errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("all descriptors this program may have are in use, raise RLIMIT_NOFILE (ulimit -n): %w", err)
	}
	return err
}

// explainDenied adds to a system call's refusal, which does not come from
// netlink, what refuses it.
func explainDenied(err error) error {
	var call *os.SyscallError
	if !errors.As(err, &call) {
		return err
	}
	switch call.Err {
	case syscall.EPERM, syscall.EACCES, syscall.ENOSYS:
		return fmt.Errorf("%w: something denies the program this system call: a seccomp filter (of the container, or systemd's SystemCallFilter=) or a security module", err)
	}
	return err
}

// modules are the kernel modules of the subsystems, and the names of their
// lists in /proc/net/netfilter.
var modules = map[uint8]string{SubsystemQueue: "nfnetlink_queue", SubsystemLog: "nfnetlink_log"}

// privileged reports whether the program may configure: a message that only
// the kernel sends is then refused as such, and else for want of privilege.
// Nothing is changed either way.
func (c *Conn) privileged(subsystem uint8) bool {
	err := c.Request(Message{Header: Header{Type: Type(subsystem) << 8}})
	return !errors.Is(err, syscall.EPERM)
}

// noCapability says why the program may not.
func (c *Conn) noCapability() error {
	if foreignNetNS(c.t) {
		return errForeignNetNS
	}
	return errNoCapability
}
