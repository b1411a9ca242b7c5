package nfqueue_test

import (
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestFallbackOfHoldForMustFitEveryPacket(t *testing.T) {
	const d = time.Hour
	for name, v := range map[string]nfqueue.Verdict{
		"Hold":              nfqueue.HoldFor(d, nfqueue.Hold()),
		"HoldFor":           nfqueue.HoldFor(d, nfqueue.HoldFor(d, nfqueue.Accept())),
		"a payload":         nfqueue.HoldFor(d, nfqueue.Accept().WithPayload(udpPacket("y"))),
		"a raw payload":     nfqueue.HoldFor(d, nfqueue.Accept().WithRawPayload(udpPacket("y"))),
		"a tag":             nfqueue.HoldFor(d, nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100})),
		"a link header":     nfqueue.HoldFor(d, nfqueue.Accept().WithLinkHeader(make([]byte, 14))),
		"conntrack":         nfqueue.HoldFor(d, nfqueue.Accept().WithConntrackMark(1, 0xffffffff)),
		"0, and Hold":       nfqueue.HoldFor(0, nfqueue.Hold()),
		"a payload later":   nfqueue.HoldFor(0, nfqueue.Accept()).WithRawPayload(udpPacket("y")),
		"a tag later":       nfqueue.HoldFor(0, nfqueue.Accept()).WithVLAN(attr.VLAN{Protocol: 0x8100}),
		"conntrack later":   nfqueue.HoldFor(0, nfqueue.Accept()).WithConntrackMark(1, 0xffffffff),
		"link header later": nfqueue.HoldFor(0, nfqueue.Accept()).WithLinkHeader(make([]byte, 14)),
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add, ConntrackVerdicts: true})
			start(t, q, always(v))
			wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
			reported.Next(t, nfqueue.ErrHoldFallback)
			if s := q.Stats(); s.Refused != 1 || s.Fallbacks != 1 || s.Expired != 0 || s.Held != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestMarkOfHoldForIsTheFallbacks(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	start(t, q, always(nfqueue.HoldFor(0, nfqueue.Accept().WithPriority(3)).WithMark(7)))
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept().WithPriority(3).WithMark(7))
}

func TestHoldForSaysWhatItDoes(t *testing.T) {
	for want, v := range map[string]nfqueue.Verdict{
		"hold for 1.5s, then accept, mark 0x7": nfqueue.HoldFor(1500*time.Millisecond, nfqueue.Accept().WithMark(7)),
		"hold for 0s, then requeue to 9":       nfqueue.HoldFor(0, nfqueue.Requeue(9)),
		"hold":                                 nfqueue.Hold(),
	} {
		if got := v.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHoldsAreEqualIfTheyDoTheSame(t *testing.T) {
	all := []nfqueue.Verdict{
		nfqueue.Hold(), nfqueue.HoldFor(0, nfqueue.Drop()), nfqueue.HoldFor(1, nfqueue.Drop()),
		nfqueue.HoldFor(1, nfqueue.Accept()), nfqueue.HoldFor(1, nfqueue.Accept().WithMark(1)),
	}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%v equals %v: %v", a, b, i != j)
			}
		}
	}
	if !nfqueue.HoldFor(-5, nfqueue.Drop()).Equal(nfqueue.HoldFor(0, nfqueue.Drop())) {
		t.Error("a time below 0 is not 0")
	}
}
