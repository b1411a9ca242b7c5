package nfnl

import (
	"errors"
	"fmt"
	"syscall"
)

// errNoCapability is what Explain adds to a refusal for want of privilege.
var errNoCapability = errors.New("it needs CAP_NET_ADMIN over the network namespace: run as root, in a container with --cap-add NET_ADMIN, or under unshare -Urn")

// Explain adds to the kernel's refusal of a configuration message what a
// person can do about it. subsystem and module are those of the message; taken
// is what EPERM means to a program that has the privilege: that another socket
// owns the queue or group. The result matches all that err matches.
func (c *Conn) Explain(err error, subsystem uint8, module string, taken error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Errno == syscall.EPERM && !c.privileged(subsystem):
		return fmt.Errorf("%w; %w", err, errNoCapability)
	case e.Errno == syscall.EPERM:
		return fmt.Errorf("%w: %w", taken, err)
	case e.Errno == syscall.EINVAL && e.Text == "":
		// nfnetlink_rcv_msg: no handler for the subsystem, and none could be loaded.
		return fmt.Errorf("%w; is the kernel module %s there? (try modprobe %s)", err, module, module)
	}
	return err
}

// privileged reports whether the program may configure: a message that only
// the kernel sends is then refused as such, and else for want of privilege.
// Nothing is changed either way.
func (c *Conn) privileged(subsystem uint8) bool {
	err := c.Request(Message{Header: Header{Type: Type(subsystem) << 8}})
	return !errors.Is(err, syscall.EPERM)
}
