// Package diagnose finds out why the kernel refused to open or change a queue or a log
// group, and says what a person can do about it: a privilege is missing, another
// socket has it, a kernel module is not there, or the kernel lacks a flag.
package diagnose

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// errNoCapability is what Refusal adds to a refusal for want of privilege.
var errNoCapability = errors.New("it needs CAP_NET_ADMIN over the network namespace: run as root, " +
	"with an ambient capability (systemd's AmbientCapabilities=CAP_NET_ADMIN) or a file capability (setcap cap_net_admin+ep PROGRAM), " +
	"in a container with --cap-add NET_ADMIN, or under unshare -Urn")

// errForeignNetNS is that where CAP_NET_ADMIN does not help, for the program has
// it in the wrong user namespace (netlink_ns_capable).
var errForeignNetNS = errors.New("it needs CAP_NET_ADMIN over the network namespace, which the user namespace of this program does not own: run it in the one that does, or under unshare -Urn in a network namespace of its own")

// Refusal adds to the kernel's refusal of a configuration message what a
// person can do about it. The message was sent by c, and was one of subsystem, about
// the queue or group with that number. To a program that has the privilege EPERM means that
// another socket has it: the result is an ErrTaken then, whose text names the
// program that has it where /proc tells. Any other result matches all that err
// matches.
func Refusal(c *engine.Conn, err error, subsystem uint8, number uint16) error {
	var e *engine.Error
	if !errors.As(err, &e) {
		return err
	}
	module := modules[subsystem]
	switch {
	case e.Errno == syscall.EPERM && !privileged(c, subsystem):
		return fmt.Errorf("%w; %w", err, noCapability(c))
	case e.Errno == syscall.EPERM:
		return &takenError{owner: ownerOf(c, "netfilter/"+module, number)}
	case e.Errno == syscall.EINVAL && e.Text == "":
		// nfnetlink_rcv_msg: no handler for the subsystem, and none could be loaded.
		return fmt.Errorf("%w; is the kernel module %s there? (try modprobe %s)", err, module, module)
	}
	return err
}

// modules are the kernel modules of the subsystems, and the names of their
// lists in /proc/net/netfilter.
var modules = map[uint8]string{engine.SubsystemQueue: "nfnetlink_queue", engine.SubsystemLog: "nfnetlink_log"}

// privileged reports whether the program may configure: a message that only
// the kernel sends is then refused as such, and else for want of privilege.
// Nothing is changed either way.
func privileged(c *engine.Conn, subsystem uint8) bool {
	err := c.Request(engine.Message{Type: engine.Type(subsystem) << 8})
	return !errors.Is(err, syscall.EPERM)
}

// noCapability says why the program may not.
func noCapability(c *engine.Conn) error {
	if c.InForeignNetNS() {
		return errForeignNetNS
	}
	return errNoCapability
}
