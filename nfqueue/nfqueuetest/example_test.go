package nfqueuetest_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// markTelnet is the handler to be tested: it marks packets to TCP port 23.
func markTelnet(p *nfqueue.Packet) nfqueue.Verdict {
	if len(p.Payload) >= 24 && p.Payload[22] == 0 && p.Payload[23] == 23 {
		return nfqueue.Accept().WithMark(23)
	}
	return nfqueue.Accept()
}

// telnet is the start of a TCP packet to port 23.
var telnet = []byte{
	0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0xf6, 0xcd, 192, 0, 2, 1, 192, 0, 2, 2,
	0x9c, 0x40, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
}

func Example() {
	var t *testing.T // of func TestTelnetIsMarked(t *testing.T)

	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
	go q.Run(t.Context(), markTelnet)

	id := k.Enqueue(nfqueue.Packet{Hook: 1, Payload: telnet})
	if got, want := k.Verdict(id), nfqueue.Accept().WithMark(23); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
