package main

import (
	"slices"
	"testing"
)

// A misspelt name would make a row vanish from the table.
func TestRowsNameEntries(t *testing.T) {
	for _, r := range rows() {
		i := slices.IndexFunc(contests(fullScale), func(c contest) bool { return c.name == r.contest })
		if i < 0 {
			t.Errorf("row %q is about %q, which is no contest", r.what, r.contest)
			continue
		}
		for _, need := range r.needs {
			entries := contests(fullScale)[i].entries
			if !slices.ContainsFunc(entries, func(e entry) bool { return e.name == need }) {
				t.Errorf("row %q needs %q, which is not in contest %q", r.what, need, r.contest)
			}
		}
	}
}

func TestEntriesNamePrograms(t *testing.T) {
	known := append([]string{""}, goPrograms...)
	for _, p := range cPrograms {
		known = append(known, p.name)
	}
	all := contests(fullScale)
	for _, s := range studies(fullScale, false) {
		for _, p := range s.points {
			all = append(all, p.contest)
		}
	}
	for _, c := range all {
		for _, e := range c.entries {
			if !slices.Contains(known, e.program) {
				t.Errorf("entry %q of contest %q is program %q, which nobody builds", e.name, c.name, e.program)
			}
		}
	}
}

// The kernel holds at most 65,536 packets in a queue, and the socket so many
// bytes.
func TestDrainsFit(t *testing.T) {
	for _, size := range []int{64, 1400, 65000} {
		// What the kernel charges for a datagram: Linux 6.18, x86-64.
		charge := map[int]int{64: 832, 1400: 2304, 65000: 66000}[size]
		if n := min(fullScale.packets, roomFor(size)); n > 65536-warmup || n*charge > 2*deepBuffer {
			t.Errorf("%d packets of %d bytes do not fit", n, size)
		}
	}
}
