package engine

import (
	"runtime"
	"sync"
)

// This file has the memory of receive buffers. It is large, mostly untouched and
// without pointers, so it is kept out of the Go heap: there all of it would count
// as live. The garbage collector would then let as much garbage accumulate again
// or, with a memory limit, have no room left.

// A region is memory for the buffers of a Batch. Whoever refers to it keeps it from
// being used again; slices of it do not.
type region struct {
	bytes   []byte
	outside bool // of the Go heap
	cleanup runtime.Cleanup
}

// regionSize is what the size of a region is a multiple of, so that Batches of
// about the same size can use each other's.
const regionSize = 64 << 10

// spare are unused regions, by size. They are never unmapped: access to a slice
// that was kept too long then returns zeros or another packet, and does not
// fault. Their physical memory is returned to the system.
var spare = struct {
	sync.Mutex
	free map[int][][]byte
}{free: map[int][][]byte{}}

// newRegion returns a region of at least n bytes.
func newRegion(n int) *region {
	n = (n + regionSize - 1) / regionSize * regionSize
	r := &region{bytes: takeSpare(n)}
	r.outside = r.bytes != nil
	if !r.outside {
		r.bytes, r.outside = mapMemory(n)
	}
	if r.outside {
		r.cleanup = runtime.AddCleanup(r, putSpare, r.bytes)
	}
	return r
}

// release lets others use r's memory, without waiting for the garbage collector.
func (r *region) release() {
	if r == nil || !r.outside {
		return
	}
	r.cleanup.Stop()
	r.outside = false
	putSpare(r.bytes)
}

// takeSpare returns memory of n bytes, or nil if there is none.
func takeSpare(n int) []byte {
	spare.Lock()
	defer spare.Unlock()
	free := spare.free[n]
	if len(free) == 0 {
		return nil
	}
	b := free[len(free)-1]
	spare.free[n] = free[:len(free)-1]
	return b
}

// putSpare gives memory back.
func putSpare(b []byte) {
	emptyMemory(b)
	spare.Lock()
	defer spare.Unlock()
	spare.free[len(b)] = append(spare.free[len(b)], b)
}
