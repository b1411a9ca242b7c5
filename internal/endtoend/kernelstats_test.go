//go:build linux

package endtoend

import (
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// TestKernelStatsFollowTheQueue checks them against what was done.
func TestKernelStatsFollowTheQueue(t *testing.T) {
	const sent = 6
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{Queue: 700, MaxLen: 4, CopyRange: 100})
	k, ok := kernelStats(t, l.queue)
	if !ok {
		t.Skip("only root may see them")
	}
	empty := nfqueue.KernelStats{Queue: 700, PortID: k.PortID, CopyMode: 2, CopyRange: 100}
	if k != empty || k.PortID == 0 {
		t.Errorf("at first %+v", k)
	}
	sendNumbered(t, l, sent)
	want := empty
	want.Waiting, want.Full, want.LastID = 4, 2, 4
	if k, _ := kernelStats(t, l.queue); k != want {
		t.Errorf("full: %+v, want %+v", k, want)
	}
	if n := acceptAll(t, l.queue); n != 4 {
		t.Errorf("%d packets", n)
	}
	must(t, l.queue.Configure(nfqueue.Config{Queue: 700, MetadataOnly: true}))
	want.Waiting, want.CopyMode, want.CopyRange = 0, 1, 0
	if k, _ := kernelStats(t, l.queue); k != want {
		t.Errorf("empty, and without payload: %+v, want %+v", k, want)
	}

	// The list was opened with the queue, so that no privilege is needed later.
	must(t, withoutCapabilities(t, func() error {
		k, err := l.queue.KernelStats()
		if k != want {
			t.Errorf("without capabilities: %+v, want %+v", k, want)
		}
		return err
	}))
	must(t, l.queue.Close())
	_, err := l.queue.KernelStats()
	wantError(t, "KernelStats after Close", err, net.ErrClosed)
}

// Two queues of a namespace are in one list, and those of another are not.
func TestKernelStatsAreTheQueuesOwn(t *testing.T) {
	n := newNet(t)
	one, two := openQueue(t, n, nfqueue.Config{Queue: 1, CopyRange: 11}), openQueue(t, n, nfqueue.Config{Queue: 2, CopyRange: 22})
	elsewhere := openQueue(t, newNet(t), nfqueue.Config{Queue: 1, CopyRange: 33})
	for q, want := range map[*nfqueue.Queue]nfqueue.KernelStats{
		one: {Queue: 1, CopyRange: 11}, two: {Queue: 2, CopyRange: 22}, elsewhere: {Queue: 1, CopyRange: 33},
	} {
		k, ok := kernelStats(t, q)
		if !ok {
			t.Skip("only root may see them")
		}
		if k.Queue != want.Queue || k.CopyRange != want.CopyRange {
			t.Errorf("%+v, want %+v", k, want)
		}
	}
}
