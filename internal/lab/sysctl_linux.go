package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Sysctl writes value to a file below /proc/sys, such as
// "net/ipv4/ip_forward", in the namespace. In a container, where /proc/sys is
// read-only, it writes to a /proc of its own, which takes CAP_SYS_ADMIN; the error
// wraps [unix.EROFS] where that is refused.
func (n *Net) Sysctl(key, value string) error {
	write := func() error {
		return os.WriteFile(path.Join("/proc/sys", key), []byte(value), 0)
	}
	err := n.Do(write)
	if errors.Is(err, unix.EROFS) {
		if mounted := doomed(func() error { return n.withProc(write) }); mounted == nil {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("lab: sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

// withProc calls f in the namespace with a new /proc, on a thread that must end
// afterwards.
func (n *Net) withProc(f func() error) error {
	fd := n.FD()
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err == nil {
		err = unix.Setns(fd, unix.CLONE_NEWNET)
	}
	if err != nil {
		return err
	}
	return f()
}

// Forwarding turns the forwarding of IPv4 and IPv6 packets between devices on or
// off, also those to come.
func (n *Net) Forwarding(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	if err := n.Sysctl("net/ipv4/ip_forward", value); err != nil {
		return err
	}
	return n.Sysctl("net/ipv6/conf/all/forwarding", value)
}

// Forward4 turns on the forwarding of IPv4 packets that come in by the device,
// which takes no /proc. IPv6 has nothing like it.
func (n *Net) Forward4(name string) error {
	const inetConf, forwarding = 1, 1 // IFLA_INET_CONF, IPV4_DEVCONF_FORWARDING
	conf := binary.NativeEndian.AppendUint32(nil, 1)
	err := n.onLink(unix.RTM_SETLINK, name, 0, 0, func(ae *netlink.AttributeEncoder) {
		ae.Nested(unix.IFLA_AF_SPEC, func(spec *netlink.AttributeEncoder) error {
			spec.Nested(syscall.AF_INET, func(inet *netlink.AttributeEncoder) error {
				inet.Nested(inetConf, func(c *netlink.AttributeEncoder) error {
					c.Bytes(forwarding, conf)
					return nil
				})
				return nil
			})
			return nil
		})
	})
	return wrap(err, "forward IPv4 from %s", name)
}
