//go:build linux

package endtoend

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

func TestQueueOfAnotherSocketIsTaken(t *testing.T) {
	n := newNet(t)
	first := openQueue(t, n, nfqueue.Config{Queue: 3})
	cfg := nfqueue.Config{Queue: 3, Socket: nfnl.Config{NetNS: n.FD()}}
	_, err := nfqueue.Open(cfg)
	if !errors.Is(err, nfqueue.ErrTaken) || errors.Is(err, os.ErrPermission) {
		t.Errorf("second Open: %v, want ErrTaken and not os.ErrPermission", err)
	}

	openQueue(t, n, nfqueue.Config{Queue: 4})         // another number
	openQueue(t, newNet(t), nfqueue.Config{Queue: 3}) // another namespace
	must(t, first.Close())
	openQueue(t, n, nfqueue.Config{Queue: 3}) // free again
}

// withoutNetAdmin calls f in the namespace on a thread that has given up
// CAP_NET_ADMIN, and throws that thread away.
func withoutNetAdmin(t *testing.T, n *lab.Net, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		done <- n.Do(func() error {
			if err := dropNetAdmin(); err != nil {
				return err
			}
			return f()
		})
	}()
	return next(t, done)
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

func TestMissingCapabilityIsNamed(t *testing.T) {
	n := newNet(t)
	err := withoutNetAdmin(t, n, func() error {
		_, err := nfqueue.Open(nfqueue.Config{})
		return err
	})
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, nfqueue.ErrTaken) {
		t.Errorf("error %v, want os.ErrPermission and not ErrTaken", err)
	}
	if err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v does not name the capability", err)
	}
	openQueue(t, n, nfqueue.Config{})
}

// The kernel asks for the capability at every verdict. Without it every packet
// would wait for ever, so Run ends.
func TestCapabilityLostLaterEndsRun(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	send(t, l.from, "x")
	err := withoutNetAdmin(t, l.net, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return l.queue.Run(ctx, accept)
	})
	if !errors.Is(err, syscall.EPERM) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("Run: %v, want EPERM", err)
	}
	if k, ok := kernelStats(t, l.queue); ok && k.Waiting != 1 {
		t.Errorf("%d packets wait, want the refused one", k.Waiting)
	}

	// With the capability the queue works as before.
	runQueue(t, l.queue, accept)
	send(t, l.from, "y")
	wantReceived(t, l.to, "y")
}
