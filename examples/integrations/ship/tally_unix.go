//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// mapCounters maps a file for as long as the process lives. The mapping keeps the file
// locked when it is closed.
func mapCounters(file *os.File) (*counters, error) {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another process has it: give it a -dir of its own: %w", err)
	}
	const size = int(unsafe.Sizeof(counters{}))
	if err := file.Truncate(int64(size)); err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*counters)(unsafe.Pointer(&b[0])), nil
}
