package nfqueue_test

import (
	"runtime"
	"testing"

	"github.com/nfpacket/nfpacket/nfqueue"
)

// Packets are valid until the next Receive with their Batch, and so for good if the
// Batch is given up: they keep the memory that they are in.
func TestPacketsKeepTheMemoryOfTheirBatch(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	take := func() []nfqueue.Packet {
		b := q.NewBatch()
		if err := q.Receive(b); err != nil {
			t.Fatal(err)
		}
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
		return b.Packets
	}
	k.Enqueue(packet("first"))
	kept := take()
	for range 20 {
		runtime.GC()
		k.Enqueue(packet("later"))
		take()
	}
	if got := data(kept[0].Payload); got != "first" {
		t.Errorf("the packet says %q", got)
	}
}
