//go:build linux

package faults

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// With a reader that is too slow, and asleep at first, every packet was either
// read or is missing in the sequence, to the packet.
func TestLoggedPacketsAreAccountedForUnderOverload(t *testing.T) {
	for _, threshold := range []uint32{1, 64} {
		t.Run(fmt.Sprintf("threshold %d", threshold), func(t *testing.T) {
			n := endtoend.NewNet(t)
			r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: threshold, Socket: nfnl.Config{ReadBuffer: 128 << 10}})
			d := newDelta(t, n, lab.Log(5, "", 0, 0))
			ctx, cancel := context.WithCancel(context.Background())
			var read atomic.Uint64
			awake := make(chan struct{})
			done := testkit.Background(func() error {
				for p, err := range r.Packets(ctx) {
					if err != nil {
						return err
					}
					<-awake
					slow()
					read.Add(1)
					d.meet(p.Payload)
				}
				return nil
			})
			d.flood(t, *floodPackets/2)
			close(awake)
			d.flood(t, *floodPackets/2)
			d.last(t)
			lost := r.Stats().Lost
			if !d.round(t, testkit.Patience) || r.Stats().Lost != lost {
				t.Error("packets get lost after the flood")
			}
			cancel()
			testkit.WantError(t, "Packets", testkit.Next(t, done), context.Canceled)

			in, s := endtoend.Packets(t, d.in), r.Stats()
			if lost == 0 {
				t.Error("nothing was lost: this was no overload")
			}
			if in != d.sent {
				t.Errorf("%d packets sent, but %d came in", d.sent, in)
			}
			t.Logf("%d in = %d read + %d lost", in, read.Load(), s.Lost)
			if read.Load() != s.Packets || s.Packets+s.Lost != in {
				t.Errorf("%d packets logged, %d read, stats %+v", in, read.Load(), s)
			}
			if out := endtoend.Packets(t, d.out); out != in {
				t.Errorf("%d packets logged, but %d went on", in, out)
			}
		})
	}
}
