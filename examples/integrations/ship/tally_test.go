//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
)

// What a process of the program knew to be logged, stored or not, is what the next
// one counts, wherever in its sequence SIGKILL came.
func TestMissingIsWhatWasNotStored(t *testing.T) {
	for _, c := range []struct {
		logged, stored, last, missing uint64
	}{
		{0, 0, 0, 0},
		{10, 10, 10, 0},
		{10, 4, 4, 6},
		{10, 4, 7, 3},   // killed between a block and its acknowledgement
		{10, 4, 0, 6},   // a receiver that does not say what it has
		{10, 12, 15, 0}, // the file is older, from before a power failure
	} {
		dir := t.TempDir()
		before := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, c.logged), c.stored)
		must(t, os.WriteFile(filepath.Join(dir, "group-1.tally"), before, 0o600))
		after, err := openTally(dir, 1)
		must(t, err)
		if got := after.missing(c.last); got != c.missing {
			t.Errorf("of %d logged, %d known as stored and %d stored, %d are missing; want %d", c.logged, c.stored, c.last, got, c.missing)
		}
		after.lose(5)
		if got := after.log(2); got != c.logged+5+3 {
			t.Errorf("the next packet has number %d, want %d", got, c.logged+5+3)
		}
	}
}

func TestTallyHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	_, err := openTally(dir, 1)
	must(t, err)
	if _, err := openTally(dir, 1); err == nil || !strings.Contains(err.Error(), "a -dir of its own") {
		t.Errorf("a second owner: %v", err)
	}
	if _, err := openTally(dir, 2); err != nil {
		t.Errorf("another group: %v", err)
	}
}

// The program is killed with records that no server has. The records that are stored
// say how many are missing, and where.
func TestRecordsThatSIGKILLTookAreCounted(t *testing.T) {
	rule := logged(t)
	n, err := lab.Here()
	must(t, err)
	defer n.Close()
	server, dir := newNode(t, 0, 1, t.TempDir()), t.TempDir()
	server.start()
	const url = "nats://127.0.0.1:4300"
	args := []string{"-group", fmt.Sprint(logGroup), "-url", url, "-dir", dir}
	// read waits until the program has read all that was logged.
	read := func() {
		t.Helper()
		until(t, "the program has read everything", func() bool {
			packets, err := rule.Packets()
			must(t, err)
			return tallied(t, dir) == packets
		})
	}
	p := exampletest.Run(t, n, args...)
	floodFor(t, 200*time.Millisecond)
	read()
	server.kill()
	floodFor(t, 200*time.Millisecond)
	read()
	p.Kill()
	server.start()

	p = exampletest.Run(t, n, args...)
	floodFor(t, 200*time.Millisecond)
	read()
	p.Stop()
	packets, err := rule.Packets()
	must(t, err)
	var lost, number uint64
	records := stored(t, url)
	for _, r := range records {
		if number += r.Lost + 1; r.Number != number {
			t.Fatalf("record %d has number %d, %d were lost before it", number, r.Number, r.Lost)
		}
		lost += r.Lost
	}
	if uint64(len(records))+lost != packets || lost == 0 {
		t.Errorf("%d records are stored and %d counted as lost, of %d packets", len(records), lost, packets)
	}
}

// floodFor sends datagrams for a while.
func floodFor(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	flood(ctx, t, 2000)
}

// tallied returns how many packets the program in dir has counted.
func tallied(t *testing.T, dir string) uint64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("group-%d.tally", logGroup)))
	must(t, err)
	return binary.NativeEndian.Uint64(b)
}
