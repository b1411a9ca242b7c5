package engine

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// Wake makes a Receive that waits return with nothing, once, and what wakes it
// shows nowhere.
func TestWakeEndsAReceiveThatWaits(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		if err := k.conn.Wake(); err != nil {
			k.Fatal(err)
		}
		if err := testkit.Next(k, received); err != nil {
			k.Error(err)
		}
		s.want(k, 1, 0)
		received = testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Error(err)
		}
		s.want(k, 1, 1)
	})
}
