package lab

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Offload is work that the kernel leaves to a device, or to the receiver of a
// virtual one: packets seen on the way have it still before them.
type Offload uint32

// The offloads.
const (
	TxChecksum Offload = unix.ETHTOOL_STXCSUM // transport checksums left blank
	TSO        Offload = unix.ETHTOOL_STSO    // TCP segments larger than the MTU; needs TxChecksum
	GSO        Offload = unix.ETHTOOL_SGSO    // the same, cut just before the device
	GRO        Offload = unix.ETHTOOL_SGRO    // received segments joined
)

// SetOffload turns offloads of the device called name on or off. With all of
// them off on both ends of a pair, packets look as on a wire.
func (n *Net) SetOffload(name string, on bool, offloads ...Offload) error {
	for _, o := range offloads {
		err := n.Do(func() error { return ethtoolSet(name, uint32(o), on) })
		if err != nil {
			return wrap(err, "set offload %#x of %s to %v", uint32(o), name, on)
		}
	}
	return nil
}

// ethtoolSet runs one of the ethtool commands that take a truth value.
func ethtoolSet(name string, command uint32, on bool) error {
	value := struct{ cmd, data uint32 }{cmd: command} // struct ethtool_value
	if on {
		value.data = 1
	}
	request := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24]byte // no less than what is left of the union
	}{data: unsafe.Pointer(&value)}
	if len(name) >= len(request.name) {
		return unix.EINVAL
	}
	copy(request.name[:], name)

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}
