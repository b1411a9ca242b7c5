//go:build linux

package endtoend

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
)

// TestKernelStatsFollowTheLog checks them against what was done, with another
// Reader in the namespace whose groups are not shown.
func TestKernelStatsFollowTheLog(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Groups: []uint16{5, 6}, Threshold: 1000, FlushTimeout: time.Hour, CopyRange: 99})
	openLog(t, l.net, nflog.Config{Groups: []uint16{7}})
	want := []nflog.KernelStats{
		{Group: 5, CopyMode: 2, CopyRange: 99, Timeout: time.Hour},
		{Group: 6, CopyMode: 2, CopyRange: 99, Timeout: time.Hour},
	}
	check := func(when string) {
		t.Helper()
		got, err := l.reader.KernelStats()
		if errors.Is(err, os.ErrPermission) {
			t.Skip("only root may see them:", err)
		}
		must(t, err)
		if len(got) > 0 {
			want[0].PortID, want[1].PortID = got[0].PortID, got[0].PortID
		}
		if !slices.Equal(got, want) || got[0].PortID == 0 {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	check("at first")
	l.send(t, 0, 3)
	want[0].Collected = 3
	check("three packets collected")
	must(t, l.reader.Configure(nflog.Config{Groups: []uint16{5, 6}, MetadataOnly: true}))
	for i := range want {
		want[i].CopyMode, want[i].CopyRange, want[i].Timeout = 1, 0, 10*time.Millisecond
	}
	check("without payload")

	// The list was opened with the log, so that no privilege is needed later.
	must(t, withoutCapabilities(t, func() error {
		_, err := l.reader.KernelStats()
		return err
	}))
	must(t, l.reader.Close())
	_, err := l.reader.KernelStats()
	wantError(t, "KernelStats after Close", err, net.ErrClosed)
}
