//go:build !linux

package engine

// readable reports whether there is something to read.
func (k *kernel) readable() bool { return k.counts.transport.(*memory).readable() }
