package nfqueue_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// shown are packets as String and slog show them.
var shown = []struct {
	name, text, log string
	p               nfqueue.Packet
}{
	{"UDP", "packet 12 of queue 7: ip input, in 2, udp 192.0.2.1:4660 > 192.0.2.2:9, 33 bytes",
		"p.id=12 p.queue=7 p.family=ip p.hook=input p.in=2 p.proto=udp p.src=192.0.2.1:4660 p.dst=192.0.2.2:9 p.len=33",
		nfqueue.Packet{ID: 12, Queue: 7, Family: nfnl.IPv4, Hook: nfnl.Input, InDev: 2, Proto: 0x0800, Payload: udpPacket("hello"), Len: 33}},
	{"cut, with a mark", "packet 1 of queue 0: ip forward, in 2, out 3, udp 192.0.2.1 > 192.0.2.2, 1500 bytes, mark 0x7",
		"p.id=1 p.queue=0 p.family=ip p.hook=forward p.in=2 p.out=3 p.proto=udp p.src=192.0.2.1 p.dst=192.0.2.2 p.len=1500 p.mark=7",
		nfqueue.Packet{ID: 1, Family: nfnl.IPv4, Hook: nfnl.Forward, InDev: 2, OutDev: 3, Payload: udpPacket("")[:20], Len: 1500, Mark: 7}},
	{"no IP", "packet 1 of queue 0: bridge prerouting, in 4, physin 5, EtherType 0x0806, 3 bytes",
		"p.id=1 p.queue=0 p.family=bridge p.hook=prerouting p.in=4 p.physin=5 p.ethertype=0x0806 p.len=3",
		nfqueue.Packet{ID: 1, Family: nfnl.Bridge, InDev: 4, PhysInDev: 5, Proto: 0x0806, Payload: []byte{0, 1, 8}, Len: 3}},
	{"metadata only", "packet 1 of queue 0: ip6 output, out 3, physout 6, EtherType 0x86dd",
		"p.id=1 p.queue=0 p.family=ip6 p.hook=output p.out=3 p.physout=6 p.ethertype=0x86dd p.len=0",
		nfqueue.Packet{ID: 1, Family: nfnl.IPv6, Hook: nfnl.Output, OutDev: 3, PhysOutDev: 6, Proto: 0x86dd}},
}

func TestPacketIsShown(t *testing.T) {
	for _, c := range shown {
		if got := c.p.String(); got != c.text {
			t.Errorf("%s: got  %q\nwant %q", c.name, got, c.text)
		}
		if got := logged("p", &c.p); got != c.log {
			t.Errorf("%s: logged %q\nwant %q", c.name, got, c.log)
		}
	}
}

// logged returns how slog's text handler shows v.
func logged(key string, v any) string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("", key, v)
	_, attrs, _ := strings.Cut(strings.TrimSpace(b.String()), `msg="" `)
	return attrs
}

func TestVerdictIsLogged(t *testing.T) {
	if got := logged("verdict", nfqueue.Accept().WithMark(7)); got != `verdict="accept, mark 0x7"` {
		t.Errorf("got %q", got)
	}
}
