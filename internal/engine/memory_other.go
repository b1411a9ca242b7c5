//go:build !linux

package engine

// mapMemory returns n bytes of the Go heap.
func mapMemory(n int) (b []byte, outside bool) { return make([]byte, n), false }

// emptyMemory is for memory outside of the Go heap, of which there is none.
func emptyMemory([]byte) {}
