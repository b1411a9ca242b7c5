package nfqueue

import (
	"testing"
	"time"
)

// A packet whose verdict cannot be sent is listed again, at each try.
func TestDeadlinesOfPacketsListedAgainDoNotPileUp(t *testing.T) {
	var w waiting
	w.init(func() {})
	defer w.close()
	p := heldPacket{id: 1, until: time.Now().Add(time.Hour)}
	w.list(p)
	for range 1000 {
		taken, _ := w.unlist(p.id)
		w.restore(taken)
	}
	if n := len(w.expiry); n > 2*minStale {
		t.Errorf("one packet has %d deadlines", n)
	}
}
