//go:build linux

package log

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

// TestKernelStatsFollowTheLog checks them against what was done, with another
// Reader in the namespace whose groups are not shown.
func TestKernelStatsFollowTheLog(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Groups: []uint16{5, 6}, Threshold: 1000, FlushTimeout: time.Hour, CopyRange: 99})
	endtoend.OpenLog(t, l.Net, nflog.Config{Groups: []uint16{7}})
	want := []nflog.KernelStats{
		{Group: 5, CopyMode: 2, CopyRange: 99, Timeout: time.Hour},
		{Group: 6, CopyMode: 2, CopyRange: 99, Timeout: time.Hour},
	}
	check := func(when string) {
		t.Helper()
		got, err := l.Reader.KernelStats()
		if errors.Is(err, os.ErrPermission) {
			t.Skip("only root may see them:", err)
		}
		testkit.Must(t, err)
		if len(got) > 0 {
			want[0].PortID, want[1].PortID = got[0].PortID, got[0].PortID
		}
		if !slices.Equal(got, want) || got[0].PortID == 0 {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	check("at first")
	endtoend.SendNumbers(t, l.From, 0, 3)
	want[0].Collected = 3
	check("three packets collected")
	testkit.Must(t, l.Reader.Configure(nflog.Config{Groups: []uint16{5, 6}, MetadataOnly: true}))
	for i := range want {
		want[i].CopyMode, want[i].CopyRange, want[i].Timeout = 1, 0, 10*time.Millisecond
	}
	check("without payload")

	// The list was opened with the log, so that no privilege is needed later.
	testkit.Must(t, endtoend.WithoutCapabilities(t, func() error {
		_, err := l.Reader.KernelStats()
		return err
	}))
	testkit.Must(t, l.Reader.Close())
	_, err := l.Reader.KernelStats()
	testkit.WantError(t, "KernelStats after Close", err, net.ErrClosed)
}
