package nfqueue_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestVerdictCanBeLookedAt(t *testing.T) {
	tag, payload, link := attr.VLAN{Protocol: 0x8100, TCI: 5}, []byte("payload"), []byte("link")
	v := nfqueue.RequeueOrAccept(9).WithMark(7).WithPriority(6).WithPayload(payload).WithVLAN(tag).WithLinkHeader(link)
	if v.Action() != nfqueue.ActionRequeue {
		t.Errorf("action %v", v.Action())
	}
	if n, orAccept := v.Queue(); n != 9 || !orAccept {
		t.Errorf("queue %d, %v", n, orAccept)
	}
	if mark, ok := v.Mark(); mark != 7 || !ok {
		t.Errorf("mark %d, %v", mark, ok)
	}
	if priority, ok := v.Priority(); priority != 6 || !ok {
		t.Errorf("priority %d, %v", priority, ok)
	}
	if b, ok := v.Payload(); string(b) != "payload" || !ok {
		t.Errorf("payload %q, %v", b, ok)
	}
	if got, ok := v.VLAN(); got != tag || !ok {
		t.Errorf("VLAN %v, %v", got, ok)
	}
	if b, ok := v.LinkHeader(); string(b) != "link" || !ok {
		t.Errorf("link header %q, %v", b, ok)
	}
}

func TestPlainVerdictChangesNothing(t *testing.T) {
	v := nfqueue.Accept()
	_, mark := v.Mark()
	_, priority := v.Priority()
	_, payload := v.Payload()
	_, vlan := v.VLAN()
	_, link := v.LinkHeader()
	if mark || priority || payload || vlan || link {
		t.Errorf("mark %v, priority %v, payload %v, VLAN %v, link header %v", mark, priority, payload, vlan, link)
	}
}

// different are verdicts of which no two are equal, with their String.
var different = []struct {
	v    nfqueue.Verdict
	text string
}{
	{nfqueue.Drop(), "drop"},
	{nfqueue.Accept(), "accept"},
	{nfqueue.Stop(), "stop"},
	{nfqueue.Repeat(), "repeat"},
	{nfqueue.Hold(), "hold"},
	{nfqueue.Requeue(0), "requeue to 0"},
	{nfqueue.Requeue(1), "requeue to 1"},
	{nfqueue.RequeueOrAccept(1), "requeue to 1 or accept"},
	{nfqueue.Accept().WithMark(0), "accept, mark 0x0"},
	{nfqueue.Accept().WithMark(7), "accept, mark 0x7"},
	{nfqueue.Accept().WithPriority(7), "accept, priority 0x7"},
	{nfqueue.Accept().WithPayload([]byte("a")), "accept, payload of 1 bytes"},
	{nfqueue.Accept().WithPayload([]byte("b")), "accept, payload of 1 bytes"},
	{nfqueue.Accept().WithRawPayload([]byte("a")), "accept, payload of 1 bytes"},
	{nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100, TCI: 5}), "accept, VLAN 802.1Q id 5"},
	{nfqueue.Accept().WithLinkHeader([]byte("ab")), "accept, link header of 2 bytes"},
	{nfqueue.Drop().WithMark(7).WithPriority(1), "drop, mark 0x7, priority 0x1"},
}

func TestVerdictsAreEqualIfTheyDoTheSame(t *testing.T) {
	for i, a := range different {
		for j, b := range different {
			if a.v.Equal(b.v) != (i == j) {
				t.Errorf("%v equals %v: %v", a.v, b.v, i != j)
			}
		}
	}
	if !nfqueue.Drop().Equal(nfqueue.Verdict{}) {
		t.Error("the zero Verdict is not Drop")
	}
}

func TestVerdictSaysWhatItDoes(t *testing.T) {
	for _, c := range different {
		if got := c.v.String(); got != c.text {
			t.Errorf("got %q, want %q", got, c.text)
		}
	}
	if got := nfqueue.Action(99).String(); got != "action 99" {
		t.Errorf("got %q", got)
	}
}
