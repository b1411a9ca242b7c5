package nfqueue_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// ethernet is a link header.
var ethernet = wire("020000000002 020000000001 0800")

// crossing returns a packet on its way through a bridge, to be enqueued.
func crossing() nfqueue.Packet {
	return nfqueue.Packet{Family: nfnl.Bridge, Hook: nfnl.Forward, LinkHeader: ethernet, Payload: udpPacket("x"),
		VLAN: attr.VLAN{Protocol: 0x8100, TCI: 42}}
}

func TestLinkLayerChangesOnTheWire(t *testing.T) {
	header := bytes.Clone(ethernet)
	header[5] = 9
	q, w := tap(t, nfqueue.Config{})
	m := packetMessage(1, tlv(20, ethernet), tlv(10, udpPacket("x")))
	m[16] = 7
	w.Deliver(m)
	start(t, q, always(nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x88a8, TCI: 0xa02a}).WithLinkHeader(header)))
	got := parse(t, testkit.Next(t, w.sends)).Attrs
	want := wire(tlv(2, "00000001 00000001"),
		tlv(0x8013, testkit.List(tlv(1, "88a8")), testkit.List(tlv(2, "a02a"))), testkit.List(tlv(20, header)))
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestBridgedPacketShowsItsLinkLayer(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	got := make(chan *nfqueue.Packet, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		got <- p.Clone()
		return nfqueue.Accept()
	})
	k.Enqueue(crossing())
	if p := testkit.Next(t, got); p.Family != nfnl.Bridge || !bytes.Equal(p.LinkHeader, ethernet) || p.VLAN != (attr.VLAN{Protocol: 0x8100, TCI: 42}) {
		t.Errorf("got %+v", p)
	}
}

// The kernel would ignore these, or drop the packet, and say nothing.
func TestLinkLayerChangesThatDoNotFit(t *testing.T) {
	tag := attr.VLAN{Protocol: 0x8100, TCI: 5}
	for name, c := range map[string]struct {
		p    nfqueue.Packet
		v    nfqueue.Verdict
		want error
	}{
		"a tag for an IP packet":         {packet("x"), nfqueue.Accept().WithVLAN(tag), nfqueue.ErrNotBridge},
		"a link header for an IP packet": {packet("x"), nfqueue.Accept().WithLinkHeader(ethernet), nfqueue.ErrNotBridge},
		"a tag without a protocol":       {crossing(), nfqueue.Accept().WithVLAN(attr.VLAN{TCI: 5}), nfqueue.ErrPayload},
		"a longer link header":           {crossing(), nfqueue.Accept().WithLinkHeader(make([]byte, 18)), nfqueue.ErrPayload},
		"a shorter link header":          {crossing(), nfqueue.Accept().WithLinkHeader(ethernet[:12]), nfqueue.ErrPayload},
		"an empty link header":           {crossing(), nfqueue.Accept().WithLinkHeader(nil), nfqueue.ErrPayload},
		"one of two does not fit":        {crossing(), nfqueue.Accept().WithVLAN(tag).WithLinkHeader(nil), nfqueue.ErrPayload},
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
			wait := 0
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if wait++; wait == 1 {
					return c.v
				}
				return nfqueue.Hold()
			})
			wantVerdict(t, k, k.Enqueue(c.p), fallback)
			reported.Next(t, c.want)

			// And so through a ticket, which remembers what the packet was.
			id := k.Enqueue(c.p)
			testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
			if err := q.SetVerdict(id, c.v); err == nil || errors.Is(err, nfqueue.ErrDecided) {
				t.Errorf("by ID: got %v", err)
			}
		})
	}
}

func TestTicketRemembersTheLinkHeader(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	tickets := hold(t, q)
	header := bytes.Clone(ethernet)
	header[0] = 6
	good, bad := k.Enqueue(crossing()), k.Enqueue(crossing())
	v := nfqueue.Accept().WithLinkHeader(header)
	if err := testkit.Next(t, tickets).SetVerdict(v); err != nil {
		t.Error(err)
	}
	wantVerdict(t, k, good, v)
	if err := testkit.Next(t, tickets).SetVerdict(nfqueue.Accept().WithLinkHeader(header[:13])); !errors.Is(err, nfqueue.ErrPayload) {
		t.Errorf("got %v", err)
	}
	wantVerdict(t, k, bad, fallback)
}

func TestLinkHeaderBufferMayBeUsedAgain(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for range 3 {
		k.Enqueue(crossing())
	}
	scratch := bytes.Clone(ethernet)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		scratch[5] = byte(p.ID)
		return nfqueue.Accept().WithLinkHeader(scratch)
	})
	for id := uint32(1); id <= 3; id++ {
		want := bytes.Clone(ethernet)
		want[5] = byte(id)
		wantVerdict(t, k, id, nfqueue.Accept().WithLinkHeader(want))
	}
}
