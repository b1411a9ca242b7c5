//go:build !linux

package engine

import "testing"

// readable reports whether there is something to read.
func (k *kernel) readable() bool { return k.counts.transport.(*memory).readable() }

// overBlocking tests nothing: no receiver blocks.
func overBlocking(t *testing.T, _ func(k *kernel)) { t.Skip("receivers block only on Linux") }
