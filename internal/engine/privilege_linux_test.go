package engine

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// withoutNetAdmin runs f on a thread that lacks CAP_NET_ADMIN, as an ordinary
// user's does. The thread ends with f.
func withoutNetAdmin(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err := unix.Capget(&hdr, &data[0])
		if err == nil {
			data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
			err = unix.Capset(&hdr, &data[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal("drop CAP_NET_ADMIN:", err)
	}
}

func TestDialNeedsNoPrivilege(t *testing.T) {
	lab.Require(t)
	withoutNetAdmin(t, func() {
		c, err := Dial(Config{})
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
}

func TestRequestOfAnOrdinaryUserIsRefused(t *testing.T) {
	lab.Require(t)
	withoutNetAdmin(t, func() {
		c, err := Dial(Config{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if err := c.Request(config(5)); !errors.Is(err, os.ErrPermission) || !errors.Is(err, syscall.EPERM) {
			t.Error(err)
		}
	})
}

// TestPrivilegeOfTheSenderSuffices: a socket may have been opened by a thread
// that has dropped its privileges.
func TestPrivilegeOfTheSenderSuffices(t *testing.T) {
	lab.Require(t)
	var c *Conn
	withoutNetAdmin(t, func() { c = dialTest(t, Config{}) })
	if err := c.Request(config(5)); err != nil {
		t.Error(err)
	}
}
