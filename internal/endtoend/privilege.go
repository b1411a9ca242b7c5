//go:build linux

package endtoend

import (
	"runtime"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// OnOwnThread calls f on a thread that ends with it, so that f may change what
// belongs to a thread.
func OnOwnThread(t *testing.T, f func() error) error {
	t.Helper()
	return testkit.Next(t, testkit.Background(func() error {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		return f()
	}))
}

// WithoutCapabilities calls f on a thread that has given up all capabilities.
func WithoutCapabilities(t *testing.T, f func() error) error {
	t.Helper()
	return OnOwnThread(t, func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		return f()
	})
}

// WithoutNetAdmin calls f in the namespace, on a thread that has given up
// CAP_NET_ADMIN.
func WithoutNetAdmin(t *testing.T, n *lab.Net, f func() error) error {
	t.Helper()
	return OnOwnThread(t, func() error {
		return n.Do(func() error {
			if err := dropNetAdmin(); err != nil {
				return err
			}
			return f()
		})
	})
}

// dropNetAdmin takes CAP_NET_ADMIN from the calling thread.
func dropNetAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	return unix.Capset(&header, &data[0])
}
