package nflogtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
)

// In a bubble of testing/synctest a loop that waits for a day takes no time.
func TestTimePassesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		time.AfterFunc(time.Hour, func() { k.Log(nflog.Packet{Prefix: []byte("late")}) })
		start := time.Now()
		for p, err := range r.Packets(ctx) {
			switch waited := time.Since(start); {
			case errors.Is(err, context.DeadlineExceeded):
				if waited != 24*time.Hour {
					t.Errorf("the loop ended after %v", waited)
				}
				return
			case err != nil:
				t.Fatal(err)
			case string(p.Prefix) != "late" || waited != time.Hour:
				t.Errorf("%v came after %v", p, waited)
			}
		}
	})
}
