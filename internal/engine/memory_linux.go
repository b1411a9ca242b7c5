package engine

import "golang.org/x/sys/unix"

// mapMemory returns n bytes outside of the Go heap, or of it if there are none.
// Huge pages would make all of it resident.
func mapMemory(n int) (b []byte, outside bool) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return make([]byte, n), false
	}
	unix.Madvise(b, unix.MADV_NOHUGEPAGE) // which kernels without them refuse
	return b, true
}

// emptyMemory gives what is in b back to the system. Its bytes are 0 then.
func emptyMemory(b []byte) {
	if unix.Madvise(b, unix.MADV_DONTNEED) != nil {
		clear(b)
	}
}
