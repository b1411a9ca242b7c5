package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// keepFew is a receive buffer for some ten small packets.
const keepFew = 10 * 1024

func TestRequestKeepsNoMoreThanTheReceiveBufferHolds(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.conn.pipeBuffer = keepFew
		var s seen
		sent, asked := uint32(0), k.asked.Load()
		var err error
		for ; err == nil && sent < 1000; err = k.conn.Request(config(5)) {
			k.packets(sent+1, sent+5)
			sent, asked = sent+5, k.asked.Load()
		}
		if n := k.conn.keptBytes(); n > 2*keepFew || n < keepFew {
			k.Errorf("%d bytes are kept, with a receive buffer of %d", n, keepFew)
		}
		if !errors.Is(err, errUnread) || k.asked.Load() != asked {
			k.Errorf("%v, and the kernel was asked %d times more", err, k.asked.Load()-asked)
		}

		// Nothing is lost, and a receive makes room.
		for b, seen := s.batch(4), 0; seen < int(sent); seen = len(s.ids) {
			if err := k.conn.TryReceive(b); err != nil || len(s.ids) == seen {
				k.Fatalf("%d of %d packets, %v", seen, sent, err)
			}
		}
		s.want(k, 1, sent)
		if n := k.conn.keptBytes(); n != 0 {
			k.Errorf("%d bytes are kept, and no datagram", n)
		}
		if err := k.conn.Request(config(5)); err != nil {
			k.Error(err)
		}
	})
}

func TestRequestWaitsForRoomThatAReceiveMakes(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.conn.pipeBuffer = keepFew
		k.packets(1, 40)
		if err := k.conn.Buffer(); err != nil {
			k.Fatal(err)
		}
		if n := k.conn.Buffered(); n == 0 || n == 40 {
			k.Fatalf("%d of 40 datagrams are kept", n)
		}
		requested := testkit.Background(func() error { return k.conn.Request(config(5)) })
		var s seen
		for b := s.batch(1); len(s.ids) < 40; {
			if err := k.conn.Receive(b); err != nil {
				k.Fatal(err)
			}
		}
		s.want(k, 1, 40)
		if err := testkit.Next(k, requested); err != nil {
			k.Error(err)
		}
	})
}

// Somebody who receives slowly is not nobody.
func TestRequestWaitsWhileSomebodyReceives(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.conn.pipeBuffer = keepFew
		k.packets(1, 40)
		if err := k.conn.Buffer(); err != nil {
			k.Fatal(err)
		}
		if n := k.conn.keptBytes(); n < keepFew*3/2 {
			k.Fatalf("%d bytes are kept, which leaves room", n)
		}
		requested := testkit.Background(func() error { return k.conn.Request(config(5)) })
		var s seen
		for b := s.batch(1); len(s.ids) < 40; {
			if len(s.ids) < 3 {
				time.Sleep(requestPatience * 3 / 5)
			}
			if err := k.conn.Receive(b); err != nil {
				k.Fatal(err)
			}
		}
		s.want(k, 1, 40)
		if err := testkit.Next(k, requested); err != nil {
			k.Error(err)
		}
	})
}

// A Conn that nflog could not use loses nothing when nfqueue has it.
func TestUnclaimedConnLosesNothingUnread(t *testing.T) {
	overTransports(t, func(k *kernel) {
		testkit.Must(k, k.conn.Claim())
		k.conn.LoseUnread()
		k.conn.Unclaim()
		testkit.Must(k, k.conn.Claim())
		k.conn.pipeBuffer = keepFew
		k.packets(1, 40)
		if err := k.conn.Request(config(5)); !errors.Is(err, errUnread) {
			k.Errorf("got %v", err)
		}
		var s seen
		b := s.batch(4)
		for seen := -1; len(s.ids) > seen; {
			seen = len(s.ids)
			testkit.Must(k, k.conn.TryReceive(b))
		}
		if len(s.ids) != 40 {
			k.Errorf("received %d of 40 packets", len(s.ids))
		}
	})
}
