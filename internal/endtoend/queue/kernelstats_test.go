//go:build linux

package queue

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// TestKernelStatsFollowTheQueue checks them against what was done.
func TestKernelStatsFollowTheQueue(t *testing.T) {
	const sent = 6
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Queue: 700, MaxLen: 4, CopyRange: 100})
	k, ok := endtoend.KernelStats(t, l.Queue)
	if !ok {
		t.Skip("only root may see them")
	}
	empty := nfqueue.KernelStats{Queue: 700, PortID: k.PortID, CopyMode: 2, CopyRange: 100}
	if k != empty || k.PortID == 0 {
		t.Errorf("at first %+v", k)
	}
	endtoend.SendNumbers(t, l.From, 0, sent)
	want := empty
	want.Waiting, want.Full, want.LastID = 4, 2, 4
	if k, _ := endtoend.KernelStats(t, l.Queue); k != want {
		t.Errorf("full: %+v, want %+v", k, want)
	}
	if n := endtoend.AcceptWaiting(t, l.Queue); n != 4 {
		t.Errorf("%d packets", n)
	}
	testkit.Must(t, l.Queue.Configure(nfqueue.Config{Queue: 700, MetadataOnly: true}))
	want.Waiting, want.CopyMode, want.CopyRange = 0, 1, 0
	if k, _ := endtoend.KernelStats(t, l.Queue); k != want {
		t.Errorf("empty, and without payload: %+v, want %+v", k, want)
	}

	// The list was opened with the queue, so that no privilege is needed later.
	testkit.Must(t, endtoend.WithoutCapabilities(t, func() error {
		k, err := l.Queue.KernelStats()
		if k != want {
			t.Errorf("without capabilities: %+v, want %+v", k, want)
		}
		return err
	}))
	testkit.Must(t, l.Queue.Close())
	_, err := l.Queue.KernelStats()
	testkit.WantError(t, "KernelStats after Close", err, net.ErrClosed)
}

// Two queues of a namespace are in one list, and those of another are not.
func TestKernelStatsAreTheQueuesOwn(t *testing.T) {
	n := endtoend.NewNet(t)
	one, two := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 1, CopyRange: 11}), endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 2, CopyRange: 22})
	elsewhere := endtoend.OpenQueue(t, endtoend.NewNet(t), nfqueue.Config{Queue: 1, CopyRange: 33})
	for q, want := range map[*nfqueue.Queue]nfqueue.KernelStats{
		one: {Queue: 1, CopyRange: 11}, two: {Queue: 2, CopyRange: 22}, elsewhere: {Queue: 1, CopyRange: 33},
	} {
		k, ok := endtoend.KernelStats(t, q)
		if !ok {
			t.Skip("only root may see them")
		}
		if k.Queue != want.Queue || k.CopyRange != want.CopyRange {
			t.Errorf("%+v, want %+v", k, want)
		}
	}
}
