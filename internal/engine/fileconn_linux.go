package engine

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNotNetfilter = errors.New("it is not a netlink socket of protocol NETLINK_NETFILTER")

// fileSocket returns a transport on a copy of f, and its port ID.
func fileSocket(f *os.File) (transport, uint32, error) {
	own, err := copyDescriptor(f)
	if err != nil {
		return nil, 0, err
	}
	s, err := newNetfilterSocket(own)
	if err != nil {
		own.Close()
		return nil, 0, explainDenied(explainDescriptors(err))
	}
	portID, err := s.port() // connecting has bound it, if nothing else had
	if err != nil {
		own.Close()
		return nil, 0, err
	}
	return s, portID, nil
}

// newNetfilterSocket is newKernelSocket for a file that may be anything.
func newNetfilterSocket(d *descriptor) (*socket, error) {
	s, err := newSocket(d, true)
	if err != nil {
		return nil, err
	}
	domain, err := s.option(unix.SO_DOMAIN)
	if err != nil {
		return nil, err
	}
	protocol, err := s.option(unix.SO_PROTOCOL)
	if err != nil {
		return nil, err
	}
	if domain != unix.AF_NETLINK || protocol != unix.NETLINK_NETFILTER {
		return nil, errNotNetfilter
	}
	return newKernelSocket(d)
}

// port returns the socket's netlink address.
func (s *socket) port() (id uint32, err error) {
	err = s.control(func(fd int) error {
		addr, err := unix.Getsockname(fd)
		if a, ok := addr.(*unix.SockaddrNetlink); ok {
			id = a.Pid
		}
		return err
	})
	return id, err
}

// copyDescriptor returns a close-on-exec copy of c's descriptor, which is unaffected if
// c is closed.
func copyDescriptor(c syscall.Conn) (*descriptor, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(cerr, os.NewSyscallError("fcntl", err)); err != nil {
		return nil, explainDescriptors(err)
	}
	return newDescriptor(fd), nil
}
