package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// A footprint is what the program takes of the machine.
type footprint struct {
	resident    int // memory, in bytes
	heap        uint64
	descriptors int
	goroutines  int
}

// tread returns the footprint of now, without what only waits to be collected.
func tread() (f footprint) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap = m.HeapAlloc
	f.goroutines = runtime.NumGoroutine()
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size int
		fmt.Sscan(string(b), &size, &f.resident)
		f.resident *= os.Getpagesize()
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.descriptors = len(fds) - 1 // ReadDir's own
	}
	return f
}

// heading returns what String's columns are.
func (footprint) heading() string { return "resident      heap  fds  goroutines" }

// String returns f as a row of columns.
func (f footprint) String() string {
	return fmt.Sprintf("%5.1f MB  %5.1f MB  %3d  %10d", float64(f.resident)/1e6, float64(f.heap)/1e6, f.descriptors, f.goroutines)
}

// What may come and go: a queue that is just being opened, memory that the
// collector has not returned yet.
const (
	roomResident    = 8 << 20
	roomDescriptors = 8
	roomGoroutines  = 8
)

// grown returns an error if last is more than first by more than comes and goes.
func (first footprint) grown(last footprint) error {
	if last.resident > first.resident+roomResident || last.descriptors > first.descriptors+roomDescriptors ||
		last.goroutines > first.goroutines+roomGoroutines {
		return fmt.Errorf("it grew: from %v to %v", first, last)
	}
	return nil
}
