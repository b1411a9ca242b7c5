package nflog_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Of a datagram longer than the buffer the packets that are whole come, and the
// rest is counted.
func TestCutDatagramIsTakenInPart(t *testing.T) {
	var o testkit.Errors
	r, k := open(t, nflog.Config{OnError: o.Add})
	datagram := nflogtest.AppendPacket(nil, &nflog.Packet{Group: 5, Seq: 0, Payload: []byte("a")})
	for seq := uint32(1); seq < 9; seq++ { // longer than any buffer
		datagram = nflogtest.AppendPacket(datagram, &nflog.Packet{Group: 5, Seq: seq, Payload: make([]byte, 60000)})
	}
	k.Deliver(datagram)
	k.Deliver(nflogtest.AppendPacket(nil, &nflog.Packet{Group: 5, Seq: 9, Payload: []byte("b")}))
	b := r.NewBatch()
	got := ""
	for len(got) < 2 {
		receive(t, r, b)
		for i := range b.Packets {
			if p := b.Packets[i].Payload; len(p) == 1 {
				got += string(p)
			}
		}
	}
	s := r.Stats()
	if got != "ab" || s.Packets+s.Lost+s.Malformed != 10 || s.Malformed != 1 {
		t.Errorf("got %q, stats %+v", got, s)
	}
	errs := slices.DeleteFunc(o.Take(), func(err error) bool { return errors.Is(err, syscall.ENOBUFS) })
	if len(errs) != 1 || !errors.Is(errs[0], nfnl.ErrMalformed) {
		t.Errorf("OnError was called with %v", errs)
	}
}

// Between nonsense of all kinds every packet comes, and nothing hangs or ends.
func TestNonsenseBetweenPacketsEndsNothing(t *testing.T) {
	const rounds = 500
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	r, k := open(t, nflog.Config{})
	never := message(packetHeader(), tlv(9, []byte("never")...)).Append(nil) // without a number, which would be believed
	ended := testkit.Background(func() error {
		for range rounds {
			k.Deliver(testkit.Garble(rnd, never, 20))
			k.Log(packets("a")...)
		}
		return nil
	})
	if s := next(t, r, rounds); len(s) != rounds {
		t.Errorf("seed %d: %d packets came", seed, len(s))
	}
	if err := testkit.Next(t, ended); err != nil {
		t.Error(err)
	}
	if s := r.Stats(); s.Packets != rounds || s.Malformed < rounds || s.Lost != 0 {
		t.Errorf("seed %d: stats %+v", seed, s)
	}
}

// A reader sees the packet and not a byte more: no room behind a field, and
// nothing of a longer packet that was in the same memory before.
func TestPacketShowsNothingOfTheOneBefore(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 1})
	b := r.NewBatch()
	secret := bytes.Repeat([]byte("secret"), 200)
	for _, data := range [][]byte{secret, []byte("x"), nil, secret[:100], []byte("xyz")} {
		sent := nflog.Packet{Payload: data, Prefix: data[:min(len(data), 50)], LinkHeader: data}
		k.Log(sent)
		receive(t, r, b)
		p := &b.Packets[0]
		if !bytes.Equal(p.Payload, sent.Payload) || !bytes.Equal(p.LinkHeader, sent.LinkHeader) || !bytes.Equal(p.Prefix, sent.Prefix) {
			t.Errorf("got %q, %q and %q; want %q", p.Prefix, p.LinkHeader, p.Payload, data)
		}
		for _, field := range [][]byte{p.Payload, p.Prefix, p.LinkHeader, p.HardwareAddr, p.HardwareHeader} {
			if cap(field) != len(field) {
				t.Errorf("%q has room for %d bytes more", field, cap(field)-len(field))
			}
		}
	}
}
