package nfqueue_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestOnErrorNamesThePacket(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  nfqueue.Config
		v    nfqueue.Verdict
		want error
	}{
		{"cut packet rewritten", nfqueue.Config{CopyRange: 8}, nfqueue.Accept().WithPayload(packet("x").Payload), nfqueue.ErrTruncated},
		{"empty payload", nfqueue.Config{}, nfqueue.Accept().WithPayload(nil), nfqueue.ErrPayload},
		{"connection that is not tracked", nfqueue.Config{}, nfqueue.Accept().WithConntrackMark(1, 0), nfqueue.ErrUntracked},
		{"tag outside of a bridge", nfqueue.Config{}, nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}), nfqueue.ErrNotBridge},
		{"hold for which no fallback fits", nfqueue.Config{}, nfqueue.HoldFor(time.Hour, nfqueue.Hold()), nfqueue.ErrHoldFallback},
		{"one held too many", nfqueue.Config{MaxHeldBytes: 1}, nfqueue.Hold(), nfqueue.ErrTooManyHeld},
		{"hold that expires", nfqueue.Config{}, nfqueue.HoldFor(0, nfqueue.Accept()), nfqueue.ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			reported := new(testkit.Errors)
			c.cfg.OnError = reported.Add
			q, k := open(t, c.cfg)
			start(t, q, always(c.v))
			id := k.Enqueue(packet("x"))
			err := error(nextPackets(t, reported, c.want, id, 1))
			if text := err.Error(); !strings.HasPrefix(text, "nfqueue 7: packet 1: ") || strings.Count(text, "nfqueue 7") != 1 || strings.Count(text, "packet 1") != 1 {
				t.Errorf("it says %q", text)
			}
		})
	}
}

func TestErrorsOfTheKernelNameThePacket(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	refuseVerdicts(k, 1, 1, syscall.ERANGE)
	start(t, q, accept)
	k.Enqueue(packet("x"))
	nextPackets(t, reported, syscall.ERANGE, 1, 1)
}

func TestMalformedPacketIsNamed(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	start(t, q, accept)
	k.Deliver(packetMessage(1, []byte{3, 0, 10, 0}))
	nextPackets(t, reported, attr.ErrMalformed, 1, 1)
}

func TestErrorOfATicketNamesThePacket(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	tickets := hold(t, q)
	id := k.Enqueue(packet("x"))
	ticket := testkit.Next(t, tickets)
	for _, c := range []struct {
		v    nfqueue.Verdict
		want error
	}{
		{nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}), nfqueue.ErrNotBridge}, // and gets the fallback
		{nfqueue.Accept(), nfqueue.ErrDecided},
	} {
		err := ticket.SetVerdict(c.v)
		var of *nfqueue.PacketError
		if !errors.As(err, &of) || of.ID != id || of.Queue != 7 || !errors.Is(err, c.want) {
			t.Errorf("SetVerdict: %v, want a PacketError of packet %d: %v", err, id, c.want)
		}
	}
}

// What befalls many packets is told once a receive, and not a packet is missing
// in the sum.
func TestManyPacketsWithOneErrorAreToldTogether(t *testing.T) {
	const packets = 1000
	for name, c := range map[string]struct {
		cfg  nfqueue.Config
		v    nfqueue.Verdict
		want error
		n    int
	}{
		"held":    {nfqueue.Config{MaxHeld: 1}, nfqueue.Hold(), nfqueue.ErrTooManyHeld, packets - 1},
		"refused": {nfqueue.Config{}, nfqueue.Accept().WithPayload(nil), nfqueue.ErrPayload, packets},
	} {
		t.Run(name, func(t *testing.T) {
			var calls, sum int
			c.cfg.OnError = func(err error) {
				var of *nfqueue.PacketError
				if !errors.As(err, &of) || !errors.Is(err, c.want) {
					t.Errorf("OnError was called with %v", err)
					return
				}
				calls++
				sum += 1 + of.More
			}
			q, k := open(t, c.cfg)
			for range packets {
				k.Enqueue(packet("x"))
			}
			receives := 0
			for b := q.NewBatch(); q.Stats().Packets < packets; receives++ {
				if err := q.Receive(b); err != nil {
					t.Fatal(err)
				}
				for i := range b.Verdicts {
					b.Verdicts[i] = c.v
				}
				if err := q.Send(b); err != nil {
					t.Fatal(err)
				}
			}
			if sum != c.n || calls > receives {
				t.Errorf("OnError was called for %d packets in %d calls, want %d in at most %d", sum, calls, c.n, receives)
			}
			if s := q.Stats(); s.Refused != uint64(c.n) || s.Fallbacks != uint64(c.n) {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestMalformedMessagesAreToldTogether(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for range 5 {
		k.Deliver([]byte{1, 2, 3})
	}
	b := q.NewBatch()
	if err := q.TryReceive(b); err != nil {
		t.Fatal(err)
	}
	if err := reported.Next(t, nfnl.ErrMalformed); !strings.Contains(err.Error(), "5 messages") {
		t.Errorf("OnError was called with %v", err)
	}
	reported.WantNoMore(t)
	if s := q.Stats(); s.Malformed != 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestZeroPacketErrorHasAText(t *testing.T) {
	if text := new(nfqueue.PacketError).Error(); text != "nfqueue 0: packet 0: "+fmt.Sprint(error(nil)) {
		t.Errorf("%q", text)
	}
}
