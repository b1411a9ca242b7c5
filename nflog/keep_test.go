package nflog_test

import (
	"runtime"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
)

// Packets are valid until the next Receive with their Batch, and so for good if the
// Batch is given up: they keep the memory that they are in.
func TestPacketsKeepTheMemoryOfTheirBatch(t *testing.T) {
	r, k := open(t, nflog.Config{})
	take := func(s string) []nflog.Packet {
		k.Log(packets(s)...)
		b := r.NewBatch()
		if err := r.Receive(b); err != nil {
			t.Fatal(err)
		}
		return b.Packets
	}
	kept := take("a")
	for range 20 {
		runtime.GC()
		take("z")
	}
	if got := letters(kept); got != "a" {
		t.Errorf("the packet says %q", got)
	}
}
