package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Net is a network namespace, held open by a descriptor. Its methods work on
// that namespace wherever they are called from, and may be called by several
// goroutines.
type Net struct {
	f *os.File
}

// Here returns the namespace of the calling goroutine: the process's own, and
// inside [Net.Do] the one that Do visits. Outside a lab it returns an error, so
// that the host's namespace cannot be touched by mistake.
func Here() (*Net, error) {
	if err := checkInside(); err != nil {
		return nil, err
	}
	return current()
}

// current opens the namespace of the calling thread.
func current() (*Net, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return &Net{f}, nil
}

// NewNet makes a namespace, with its loopback device up and quiet devices to
// come: they get no IPv6 link-local address and solicit no routers. The
// namespace lives until it is closed and the sockets in it are too.
func NewNet() (*Net, error) {
	var n *Net
	err := visit(func() error {
		return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET))
	}, func() (err error) {
		n, err = current()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: new namespace: %w", err)
	}
	if err := n.settle(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// settle brings the loopback device up and silences IPv6, whose chatter on
// fresh devices would otherwise be counted by the rules under test.
func (n *Net) settle() error {
	for _, setting := range [][2]string{
		{"router_solicitations", "0"},
		{"accept_dad", "0"},
		{"addr_gen_mode", "1"}, // IN6_ADDR_GEN_MODE_NONE
	} {
		err := n.Sysctl("net/ipv6/conf/default/"+setting[0], setting[1])
		// A kernel may have no IPv6, and a container may not write here.
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EROFS) {
			return err
		}
	}
	return n.Up("lo")
}

// Do calls f with the calling goroutine in the namespace, and returns its
// error. Sockets that f makes stay in the namespace for life. Goroutines that f
// starts are not in it.
func (n *Net) Do(f func() error) error {
	return visit(func() error {
		return os.NewSyscallError("setns", unix.Setns(n.FD(), unix.CLONE_NEWNET))
	}, f)
}

// visit calls enter, which changes the namespace of the calling thread, and f,
// and goes back, also when f ends the goroutine, as [testing.T.FailNow] does. If
// there is no way back the goroutine keeps the thread, which ends with it.
func visit(enter, f func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			err = fmt.Errorf("lab: leave the namespace: %w", back)
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// FD returns the descriptor of the namespace, for setns(2) and for options such
// as [netlink.Config.NetNS]. It is valid until Close.
func (n *Net) FD() int { return int(n.f.Fd()) }

// Close gives up the hold on the namespace. When nothing else is in it, the
// kernel removes it with its devices and rules, shortly after.
func (n *Net) Close() error { return n.f.Close() }

// Dial is [net.Dial] inside the namespace. The host in address must be a literal
// IP address.
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return inside(n, func() (net.Conn, error) { return net.Dial(network, address) })
}

// Listen is [net.Listen] inside the namespace. The host in address must be a
// literal IP address.
func (n *Net) Listen(network, address string) (net.Listener, error) {
	return inside(n, func() (net.Listener, error) { return net.Listen(network, address) })
}

// ListenPacket is [net.ListenPacket] inside the namespace. The host in address
// must be a literal IP address.
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	return inside(n, func() (net.PacketConn, error) { return net.ListenPacket(network, address) })
}

// inside is Do for functions with a result.
func inside[T any](n *Net, f func() (T, error)) (v T, err error) {
	err = n.Do(func() (err error) {
		v, err = f()
		return err
	})
	return v, err
}
