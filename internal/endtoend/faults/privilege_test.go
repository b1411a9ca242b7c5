//go:build linux

package faults

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestQueueOfAnotherSocketIsTaken(t *testing.T) {
	n := endtoend.NewNet(t)
	first := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
	cfg := nfqueue.Config{Queue: 3, Socket: nfnl.Config{NetNS: n.FD()}}
	_, err := nfqueue.Open(cfg)
	if !errors.Is(err, nfqueue.ErrTaken) || errors.Is(err, os.ErrPermission) {
		t.Errorf("second Open: %v, want ErrTaken and not os.ErrPermission", err)
	}

	endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 4})                  // another number
	endtoend.OpenQueue(t, endtoend.NewNet(t), nfqueue.Config{Queue: 3}) // another namespace
	testkit.Must(t, first.Close())
	endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3}) // free again
}

func TestMissingCapabilityIsNamed(t *testing.T) {
	n := endtoend.NewNet(t)
	err := endtoend.WithoutNetAdmin(t, n, func() error {
		_, err := nfqueue.Open(nfqueue.Config{})
		return err
	})
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, nfqueue.ErrTaken) {
		t.Errorf("error %v, want os.ErrPermission and not ErrTaken", err)
	}
	if err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v does not name the capability", err)
	}
	endtoend.OpenQueue(t, n, nfqueue.Config{})
}

// The kernel asks for the capability at every verdict. Without it every packet
// would wait for ever, so Run ends.
func TestCapabilityLostLaterEndsRun(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, nfqueue.Config{})
	endtoend.Send(t, l.From, "x")
	err := endtoend.WithoutNetAdmin(t, l.Net, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		return l.Queue.Run(ctx, endtoend.Accept)
	})
	if !errors.Is(err, syscall.EPERM) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("Run: %v, want EPERM", err)
	}
	if k, ok := endtoend.KernelStats(t, l.Queue); ok && k.Waiting != 1 {
		t.Errorf("%d packets wait, want the refused one", k.Waiting)
	}

	// With the capability the queue works as before.
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.Send(t, l.From, "y")
	endtoend.WantReceived(t, l.To, "y")
}
