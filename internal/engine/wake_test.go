package engine

import "testing"

// Wake makes a Receive that waits return with nothing, once, and what wakes it
// shows nowhere.
func TestWakeEndsAReceiveThatWaits(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		received := k.background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		if err := k.conn.Wake(); err != nil {
			k.Fatal(err)
		}
		if err := received(); err != nil {
			k.Error(err)
		}
		s.want(k, 1, 0)
		received = k.background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		k.packets(1, 1)
		if err := received(); err != nil {
			k.Error(err)
		}
		s.want(k, 1, 1)
	})
}
