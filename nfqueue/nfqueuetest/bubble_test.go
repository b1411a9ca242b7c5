package nfqueuetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// In a bubble of testing/synctest a deadline of an hour takes no time.
func TestDeadlinesPassInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
		go q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.HoldFor(time.Hour, nfqueue.Accept().WithMark(1))
		})
		id := k.Enqueue(nfqueue.Packet{Payload: []byte{0x45}})
		time.Sleep(time.Hour - time.Millisecond)
		synctest.Wait()
		if waiting := k.Waiting(); len(waiting) != 1 || q.Stats().Held != 1 {
			t.Errorf("before the deadline %v wait, %d are held", waiting, q.Stats().Held)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if len(k.Waiting()) != 0 {
			t.Fatal("the packet waits after its deadline")
		}
		if v := k.Verdict(id); !v.Equal(nfqueue.Accept().WithMark(1)) {
			t.Errorf("the verdict is %v", v)
		}
	})
}
