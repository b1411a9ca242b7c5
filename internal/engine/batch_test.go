package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestDatagramLongerThanTheBufferIsTakenInPart(t *testing.T) {
	overTransports(t, func(k *kernel) {
		for _, tt := range []struct {
			name     string
			datagram []byte
			size     int
			want     Message // that comes with the error
		}{
			{"cut in the attributes", goldenPacket, 60,
				Message{Type: queuePacket, Family: IPv4, Resource: 5, Attrs: goldenPacketAttrs[:40]}},
			{"cut in the header", goldenPacket, 12, Message{}},
			{"cut between messages", append(packet(1), packet(2)...), 28, Message{}},
			{"cut in the second message", append(packet(1), packet(2)...), 28 + 24,
				Message{Type: queuePacket, Family: IPv4, Resource: 5, Attrs: packet(2)[20:24]}},
			{"no room at all", goldenPacket, 0, Message{}},
		} {
			var s seen
			k.deliver(tt.datagram)
			k.packets(3, 3)
			b := NewBatch(1, tt.size, s.take)
			if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(b) })); err != nil {
				k.Fatal(tt.name, err)
			}
			if len(s.errs) != 1 || s.errs[0] != errCut || !errors.Is(errCut, ErrMalformed) {
				k.Fatalf("%s: errors %v", tt.name, s.errs)
			}
			if m := s.bad[0]; !bytes.Equal(m.Append(nil), tt.want.Append(nil)) {
				k.Errorf("%s:\n got %+v\nwant %+v", tt.name, m, tt.want)
			}
			if whole := tt.size / 28; tt.size >= 28 && tt.size < 60 && len(s.ids) != whole {
				k.Errorf("%s: whole packets %v", tt.name, s.ids)
			}
			s = seen{}
			if err := k.conn.Receive(s.batch(1)); err != nil {
				k.Fatal(err)
			}
			s.want(k, 3, 3)
		}
	})
}

func TestCutAnswerIsStillAnAnswer(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		received := testkit.Background(func() error { return k.conn.Receive(NewBatch(2, 40, s.take)) })
		k.parked()
		k.lose.Store(1)
		k.answer = func(m Message) syscall.Errno {
			echo := m.Append(nil) // a kernel without NETLINK_CAP_ACK
			k.deliver(Message{Type: typeError, Seq: m.Seq, Attrs: wire(int32(-1), echo)}.Append(nil))
			return 0
		}
		err := testkit.Next(k, testkit.Background(func() error { return k.conn.Request(config(5)) }))
		if !errors.Is(err, syscall.Errno(1)) {
			k.Error(err)
		}
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestNonsenseDoesNotEndTheLoop(t *testing.T) {
	overTransports(t, func(k *kernel) {
		r := rand.New(rand.NewPCG(1, 2))
		var s seen
		b := s.batch(3)
		for range 2000 {
			datagram := make([]byte, 1+r.IntN(200))
			for i := range datagram {
				datagram[i] = byte(r.Uint32())
			}
			if len(datagram) > 20 && r.IntN(2) == 0 { // with a header that makes some sense
				copy(datagram, wire(uint32(r.IntN(len(datagram)+8)), uint16(r.IntN(20)), uint16(r.Uint32())))
			}
			k.deliver(datagram)
		}
		const last = 0xfeedface
		k.deliver(packet(last))
		received := testkit.Background(func() error {
			for !slices.Contains(s.ids, last) {
				if err := k.conn.Receive(b); err != nil {
					return err
				}
			}
			return nil
		})
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		if len(s.errs) < 1000 {
			k.Errorf("%d of 2000 datagrams were malformed", len(s.errs))
		}
		for _, err := range s.errs {
			if !errors.Is(err, ErrMalformed) && err.Error() != "of an unknown type" {
				k.Fatal(err)
			}
		}
	})
}

func TestMessagesAreValidUntilTheNextReceive(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var held []byte
		b := NewBatch(2, 256, func(m Message, err error) { held = m.Attrs })
		k.answer = func(Message) syscall.Errno {
			k.packets(2, 2)
			return 0
		}
		garbage := func(b []byte) bool { return bytes.Count(b, []byte{0xdb}) == len(b) }

		k.packets(1, 1)
		if err := k.conn.Receive(b); err != nil {
			k.Fatal(err)
		}
		first := held
		if err := k.conn.Request(config(5)); err != nil {
			k.Fatal(err)
		}
		if err := k.conn.Receive(new(seen).batch(0)); err != nil { // with another Batch
			k.Fatal(err)
		}
		if !bytes.Equal(first, packet(1)[20:]) {
			k.Errorf("a packet has become %x before the next Receive", first)
		}

		if err := k.conn.Request(config(5)); err != nil {
			k.Fatal(err)
		}
		if err := k.conn.Receive(b); err != nil {
			k.Fatal(err)
		}
		if raceEnabled && !garbage(first) {
			k.Errorf("after the next Receive it is still %x", first)
		}
		kept := held // by the Request, and not in b's buffers
		if !bytes.Equal(kept, packet(2)[20:]) {
			k.Errorf("a kept packet is %x", kept)
		}
		if err := k.conn.TryReceive(b); err != nil {
			k.Fatal(err)
		}
		if raceEnabled && !garbage(kept) {
			k.Errorf("after the next TryReceive it is still %x", kept)
		}
	})
}

func TestBatchHasRoomForOneAtLeast(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.packets(1, 1)
		if err := k.conn.Receive(s.batch(-1)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
	})
}

func TestRunsAreTakenAndTheRestGoesTheUsualWay(t *testing.T) {
	overTransports(t, func(k *kernel) {
		id := func(m Message) uint32 { return binary.BigEndian.Uint32(m.Attrs[4:]) }
		var order []uint32 // of what was taken, 100 more if it was in a run
		b := NewBatch(2, 512, func(m Message, err error) { order = append(order, id(m)) })
		b.TakeRuns(func(msgs []byte) (rest []byte, taken int) {
			for len(msgs) > 0 {
				m, rest, err := Next(msgs)
				if err != nil || m.Type != queuePacket || id(m) == 3 {
					break
				}
				order = append(order, 100+id(m))
				msgs, taken = rest, taken+1
			}
			return msgs, taken
		})
		k.deliver(slices.Concat(packet(1), packet(2), packet(3), nlmsg(16, uint16(typeNoop), 0, 0, 0), packet(4)))
		k.packets(5, 5)
		if err := k.conn.Receive(b); err != nil {
			k.Fatal(err)
		}
		if want := []uint32{101, 102, 3, 104, 105}; !slices.Equal(order, want) {
			k.Errorf("taken in the order %v, want %v", order, want)
		}
	})
}
