package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// A Tally counts the packets that were logged to a group, in a file that is mapped:
// SIGKILL leaves it as it is, and the next process knows what is missing.
type Tally struct {
	now           *counters
	logged, known uint64 // when it was opened
}

// counters are the content of the file.
type counters struct {
	logged atomic.Uint64 // packets, those that the kernel lost included
	stored atomic.Uint64 // the Number of the last record that was acknowledged
}

// openTally opens the tally of a group, which one process at a time has.
func openTally(dir string, group uint16) (*Tally, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("-dir is for counts that survive SIGKILL: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("group-%d.tally", group))
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("-dir is for counts that survive SIGKILL: %w", err)
	}
	defer file.Close()
	now, err := mapCounters(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Tally{now: now, logged: now.logged.Load(), known: now.stored.Load()}, nil
}

// log numbers a packet before which lost ones were lost.
func (t *Tally) log(lost uint64) (number uint64) { return t.now.logged.Add(lost + 1) }

// lose counts packets that were lost and that no record of this process says.
func (t *Tally) lose(n uint64) { t.now.logged.Add(n) }

// stored notes that a record is acknowledged, and all before it are or are counted.
func (t *Tally) stored(number uint64) { t.now.stored.Store(number) }

// missing returns how many packets of earlier processes nobody has: those logged
// after the last record that was stored, which the receiver may know better.
func (t *Tally) missing(last uint64) uint64 {
	return t.logged - min(t.logged, max(t.known, last))
}
