package nflog_test

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
)

func TestKernelStatsAreParsed(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []nflog.KernelStats
	}{
		"no group": {"", nil},
		"one group": {"    5   2101    12 2 65531      1  2\n", []nflog.KernelStats{
			{Group: 5, PortID: 2101, Collected: 12, CopyMode: 2, CopyRange: 65531, Timeout: 10 * time.Millisecond}}},
		"two groups, and the largest numbers": {
			"    0 3001234567     0 1     0      0  1\n65535 4294967295 4294967295 0 4294967295 4294967295 4294967295\n",
			[]nflog.KernelStats{
				{PortID: 3001234567, CopyMode: 1},
				{Group: 65535, PortID: 1<<32 - 1, Collected: 1<<32 - 1, CopyRange: 1<<32 - 1, Timeout: (1<<32 - 1) * 10 * time.Millisecond},
			}},
		"fields of a later kernel": {"5 1 2 2 3 4 5 99 x\n", []nflog.KernelStats{
			{Group: 5, PortID: 1, Collected: 2, CopyMode: 2, CopyRange: 3, Timeout: 40 * time.Millisecond}}},
	} {
		got, err := nflog.ReadKernelStats(strings.NewReader(c.file))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

func TestKernelStatsThatMakeNoSense(t *testing.T) {
	const good = "5 1 2 2 3 4 1\n"
	for name, line := range map[string]string{
		"words":         "group portid collected mode range timeout users",
		"too short":     "5 1 2 2 3",
		"an empty line": "",
		"a negative":    "5 1 -2 2 3 4 1",
		"too large":     "65536 1 2 2 3 4 1",
	} {
		got, err := nflog.ReadKernelStats(strings.NewReader(good + line + "\n" + good))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", line)) || len(got) != 1 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := nflog.ReadKernelStats(strings.NewReader(strings.Repeat("7", 1<<17))); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("one endless line: got %v", err)
	}
}
