package nfqueue_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestKernelStatsAreParsed(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []nfqueue.KernelStats
	}{
		"no queue": {"", nil},
		"one queue": {"    7   2101     3 2 65531     5     6       42  1\n", []nfqueue.KernelStats{
			{Queue: 7, PortID: 2101, Waiting: 3, CopyMode: 2, CopyRange: 65531, Full: 5, Lost: 6, LastID: 42}}},
		"two queues, and the largest numbers": {
			"    0 3001234567     0 1     0     0     0        0  1\n65535 4294967295 4294967295 0 4294967295 4294967295 4294967295 4294967295  1\n",
			[]nfqueue.KernelStats{
				{PortID: 3001234567, CopyMode: 1},
				{Queue: 65535, PortID: 1<<32 - 1, Waiting: 1<<32 - 1, CopyRange: 1<<32 - 1, Full: 1<<32 - 1, Lost: 1<<32 - 1, LastID: 1<<32 - 1},
			}},
		"fields of a later kernel": {"7 1 2 2 3 4 5 6 1 99 x\n", []nfqueue.KernelStats{
			{Queue: 7, PortID: 1, Waiting: 2, CopyMode: 2, CopyRange: 3, Full: 4, Lost: 5, LastID: 6}}},
		"no newline": {"7 1 2 2 3 4 5 6 1", []nfqueue.KernelStats{
			{Queue: 7, PortID: 1, Waiting: 2, CopyMode: 2, CopyRange: 3, Full: 4, Lost: 5, LastID: 6}}},
	} {
		got, err := nfqueue.ReadKernelStats(strings.NewReader(c.file))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

func TestKernelStatsThatMakeNoSense(t *testing.T) {
	const good = "7 1 2 2 3 4 5 6 1\n"
	for name, line := range map[string]string{
		"words":          "queue portid waiting mode range full lost last 1",
		"too short":      "7 1 2 2 3",
		"an empty line":  "",
		"a negative":     "7 1 -2 2 3 4 5 6 1",
		"too large":      "65536 1 2 2 3 4 5 6 1",
		"another base":   "0x7 1 2 2 3 4 5 6 1",
		"another format": "7: 1 2 2 3 4 5 6 1",
	} {
		got, err := nfqueue.ReadKernelStats(strings.NewReader(good + line + "\n" + good))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", line)) || len(got) != 1 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := nfqueue.ReadKernelStats(strings.NewReader(strings.Repeat("7", 1<<17))); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("one endless line: got %v", err)
	}
}

// errRead is what a broken reader returns.
var errRead = errors.New("broken")

func TestKernelStatsThatCannotBeRead(t *testing.T) {
	r := io.MultiReader(strings.NewReader("7 1 2 2 3 4 5 6 1\n"), broken{})
	if got, err := nfqueue.ReadKernelStats(r); !errors.Is(err, errRead) || len(got) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// broken is a reader that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errRead }

func TestKernelStatsOfAFakeKernelAreUnsupported(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	if _, err := q.KernelStats(); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "nfqueue 7") {
		t.Errorf("got %v", err)
	}
}

func FuzzKernelStats(f *testing.F) {
	f.Add("    7   2101     3 2 65531     5     6       42  1\n")
	f.Add("7 1 2 2 3 4 5 6 1\n8 1 2 2 3 4 5 6 1\n")
	f.Add("7 1 2 2 3\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, file string) {
		all, err := nfqueue.ReadKernelStats(strings.NewReader(file))
		if lines := strings.Count(file, "\n") + 1; len(all) > lines {
			t.Errorf("%d queues in %d lines", len(all), lines)
		}
		if err != nil {
			return
		}
		var again strings.Builder
		for _, s := range all {
			fmt.Fprintf(&again, "%5d %6d %5d %1d %5d %5d %5d %8d %2d\n",
				s.Queue, s.PortID, s.Waiting, s.CopyMode, s.CopyRange, s.Full, s.Lost, s.LastID, 1)
		}
		if got, err := nfqueue.ReadKernelStats(strings.NewReader(again.String())); err != nil || !slices.Equal(got, all) {
			t.Errorf("%q reads %+v, %v, want %+v", again.String(), got, err, all)
		}
	})
}
