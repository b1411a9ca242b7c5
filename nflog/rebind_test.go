package nflog_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
)

// A loop that is cancelled reads what its binding has left while another loop
// binds again, from where numbers start at 0.
func TestBindingAgainBesideACancelledLoopLosesNothing(t *testing.T) {
	for range 50 {
		r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}, Batch: 1})
		ctx, cancel := context.WithCancel(t.Context())
		other, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		var loops sync.WaitGroup
		first := make(chan bool, 100)
		loops.Go(func() {
			for p := range r.Packets(ctx) {
				if p != nil {
					first <- true
					runtime.Gosched()
				}
			}
		})
		for range 50 {
			k.Log(nflog.Packet{Group: 5})
		}
		<-first
		cancel()
		loops.Go(func() {
			for range r.Packets(other) {
			}
		})
		loops.Wait()
		stop()
		if n := r.Stats().Lost; n != 0 {
			t.Fatalf("%d packets lost", n)
		}
		r.Close()
	}
}
