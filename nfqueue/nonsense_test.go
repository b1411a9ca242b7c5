package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A datagram that was longer than the buffer comes in part. Its packet is
// answered, for its ID is there, and counted as malformed.
func TestCutDatagramGetsTheFallback(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{CopyRange: 100, Fallback: fallback, OnError: reported.Add})
	id := k.Enqueue(packet("x"))
	b := q.NewBatch()
	receive(t, q, b, 1) // it is there, and undecided
	k.Deliver(packetMessage(id, tlv(10, make([]byte, 60000))))
	start(t, q, accept)
	wantVerdict(t, k, id, fallback)
	reported.Next(t, nfnl.ErrMalformed)
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
	reported.WantNoMore(t)
	if s := q.Stats(); s.Malformed != 1 || s.Fallbacks != 1 || s.Packets != 2 {
		t.Errorf("stats %+v", s)
	}
}

// Refusals and acknowledgements of verdicts that nobody gave decide nothing and
// end nothing, and the packets that are there are answered.
func TestAnswersToVerdictsNobodyGave(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for _, errno := range []syscall.Errno{0, syscall.ENOENT, syscall.EINVAL} {
		for _, typ := range []nfnl.Type{verdictType, verdictBatchType} {
			echo := nfnl.Message{Type: typ, Seq: 0xbad, Resource: 7}.Append(nil)[:16]
			body := append(binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))), echo...)
			k.Deliver(nfnl.Message{Type: 2, Flags: 0x100, Seq: 0xbad, Attrs: body}.Append(nil))
		}
	}
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	testkit.Await(t, "Stats.Gone is above 1", func() bool { return q.Stats().Gone > 1 }) // also what the fallback came too late for
	if s := q.Stats(); s.Refused != 2 || s.Packets != 1 || s.Malformed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Between nonsense of all kinds every packet is answered, and nothing hangs or
// ends.
func TestNonsenseBetweenPacketsEndsNothing(t *testing.T) {
	const rounds = 500
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	q, k := open(t, nfqueue.Config{Fallback: nfqueue.Drop()})
	start(t, q, accept)
	never := packetMessage(0xdead, tlv(10, udpPacket("never"))) // an ID that no packet has
	for range rounds {
		k.Deliver(testkit.Garble(rnd, never, 32))
		if id := k.Enqueue(packet("x")); rnd.IntN(10) == 0 {
			wantVerdict(t, k, id, nfqueue.Accept())
		}
	}
	for id := uint32(1); id <= rounds; id++ {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	s := q.Stats()
	if s.Packets != rounds || s.Malformed < rounds || s.Refused != 0 {
		t.Errorf("seed %d: stats %+v", seed, s)
	}
	if left := k.Waiting(); len(left) > 0 {
		t.Errorf("seed %d: packets %v wait", seed, left)
	}
}

// A handler sees the packet and not a byte more: no room behind a field, and
// nothing of a longer packet that was in the same memory before.
func TestPacketShowsNothingOfTheOneBefore(t *testing.T) {
	q, k := open(t, nfqueue.Config{Batch: 1})
	b := q.NewBatch()
	secret := bytes.Repeat([]byte("secret"), 200)
	for _, data := range [][]byte{secret, []byte("x"), nil, secret[:100], []byte("xyz")} {
		sent := nfqueue.Packet{Family: nfnl.Bridge, Payload: udpPacket(string(data)), LinkHeader: make([]byte, 14)}
		if len(data) < 10 {
			sent.LinkHeader = nil
		}
		k.Enqueue(sent)
		receive(t, q, b, 1)
		p := &b.Packets[0]
		if !bytes.Equal(p.Payload, sent.Payload) || !bytes.Equal(p.LinkHeader, sent.LinkHeader) {
			t.Errorf("got %x and %x, want %x and %x", p.LinkHeader, p.Payload, sent.LinkHeader, sent.Payload)
		}
		for _, field := range [][]byte{p.Payload, p.LinkHeader, p.HardwareAddr, p.SecurityContext} {
			if cap(field) != len(field) {
				t.Errorf("%q has room for %d bytes more", field, cap(field)-len(field))
			}
		}
	}
	// A field that the message promises and does not have is not filled up.
	k.Deliver(wire(uint32(36+2), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02 00 0007",
		testkit.List(tlv(1, "00000001", "0800 01")), uint16(4+500), uint16(10), "4500"))
	if err := q.TryReceive(b); err != nil || len(b.Packets) != 0 {
		t.Errorf("%d packets, %v", len(b.Packets), err)
	}
	if s := q.Stats(); s.Malformed != 1 {
		t.Errorf("stats %+v", s)
	}
}
