package nfqueue_test

import (
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// shown are packets as String, slog and JSON show them.
var shown = []struct {
	name, text, log, json string
	p                     nfqueue.Packet
}{
	{"UDP", "packet 12 of queue 7: ip input, in 2, udp 192.0.2.1:4660 > 192.0.2.2:9, 33 bytes",
		"p.id=12 p.queue=7 p.family=ip p.hook=input p.in_index=2 p.proto=udp p.src=192.0.2.1:4660 p.dst=192.0.2.2:9 p.len=33",
		`{"id":12,"queue":7,"family":"ip","hook":"input","in_index":2,"proto":"udp","src":"192.0.2.1:4660","dst":"192.0.2.2:9","len":33}`,
		nfqueue.Packet{ID: 12, Queue: 7, Family: nfnl.IPv4, Hook: nfnl.Input, InDev: 2, Proto: 0x0800, Payload: udpPacket("hello"), Len: 33}},
	{"cut, with a mark", "packet 1 of queue 0: ip forward, in 2, out 3, udp 192.0.2.1 > 192.0.2.2, 1500 bytes, mark 0x7",
		"p.id=1 p.queue=0 p.family=ip p.hook=forward p.in_index=2 p.out_index=3 p.proto=udp p.src=192.0.2.1 p.dst=192.0.2.2 p.len=1500 p.mark=7",
		`{"id":1,"queue":0,"family":"ip","hook":"forward","in_index":2,"out_index":3,"proto":"udp","src":"192.0.2.1","dst":"192.0.2.2","len":1500,"mark":7}`,
		nfqueue.Packet{ID: 1, Family: nfnl.IPv4, Hook: nfnl.Forward, InDev: 2, OutDev: 3, Payload: udpPacket("")[:20], Len: 1500, Mark: 7}},
	{"no IP", "packet 1 of queue 0: bridge prerouting, in 4, physin 5, EtherType 0x0806, 3 bytes",
		"p.id=1 p.queue=0 p.family=bridge p.hook=prerouting p.in_index=4 p.physin_index=5 p.ethertype=0x0806 p.len=3",
		`{"id":1,"queue":0,"family":"bridge","hook":"prerouting","in_index":4,"physin_index":5,"ethertype":"0x0806","len":3}`,
		nfqueue.Packet{ID: 1, Family: nfnl.Bridge, InDev: 4, PhysInDev: 5, Proto: 0x0806, Payload: []byte{0, 1, 8}, Len: 3}},
	{"metadata only", "packet 1 of queue 0: ip6 output, out 3, physout 6, EtherType 0x86dd",
		"p.id=1 p.queue=0 p.family=ip6 p.hook=output p.out_index=3 p.physout_index=6 p.ethertype=0x86dd",
		`{"id":1,"queue":0,"family":"ip6","hook":"output","out_index":3,"physout_index":6,"ethertype":"0x86dd"}`,
		nfqueue.Packet{ID: 1, Family: nfnl.IPv6, Hook: nfnl.Output, OutDev: 3, PhysOutDev: 6, Proto: 0x86dd}},
	{"all of it", "packet 1 of queue 0: bridge forward, 802.1Q id 42, udp 192.0.2.1:4660 > 192.0.2.2:9, 28 bytes",
		`p.id=1 p.queue=0 p.time=2009-02-13T23:31:30.123Z p.family=bridge p.hook=forward p.vlan="802.1Q id 42" ` +
			"p.proto=udp p.src=192.0.2.1:4660 p.dst=192.0.2.2:9 p.len=28 p.uid=1000 p.gid=100",
		`{"id":1,"queue":0,"time":"2009-02-13T23:31:30.123Z","family":"bridge","hook":"forward","vlan":"802.1Q id 42",` +
			`"proto":"udp","src":"192.0.2.1:4660","dst":"192.0.2.2:9","len":28,"uid":1000,"gid":100}`,
		nfqueue.Packet{ID: 1, Family: nfnl.Bridge, Hook: nfnl.Forward, VLAN: attr.VLAN{Protocol: 0x8100, TCI: 42}, Payload: udpPacket(""), Len: 28,
			Time: time.Unix(1234567890, 123e6).UTC(), HasOwner: true, UID: 1000, GID: 100}},
}

// A copy of a packet reads like the packet, wherever it is.
func TestPacketIsShown(t *testing.T) {
	for _, c := range shown {
		testkit.WantShown(t, c.name, &c.p, c.text, c.log, c.json)
	}
}

func TestPacketIsShownWithNames(t *testing.T) {
	p := nfqueue.Packet{ID: 1, Family: nfnl.Bridge, Hook: nfnl.Forward, InDev: 2, OutDev: 3, PhysInDev: 4, PhysOutDev: 5, Payload: udpPacket(""), Len: 28}
	n := p.Named(testkit.Names{2: "br0", 3: "br1", 4: "eth0"}) // 5 has gone
	const text = "packet 1 of queue 0: bridge forward, in br0, out br1, physin eth0, physout 5, udp 192.0.2.1:4660 > 192.0.2.2:9, 28 bytes"
	if got := n.String(); got != text {
		t.Errorf("got  %q\nwant %q", got, text)
	}
	const log = "p.id=1 p.queue=0 p.family=bridge p.hook=forward p.in=br0 p.in_index=2 p.out=br1 p.out_index=3 p.physin=eth0 p.physin_index=4 p.physout_index=5 " +
		"p.proto=udp p.src=192.0.2.1:4660 p.dst=192.0.2.2:9 p.len=28"
	if got := testkit.Logged("p", n); got != log {
		t.Errorf("logged %q\nwant %q", got, log)
	}
	const object = `{"id":1,"queue":0,"family":"bridge","hook":"forward","in":"br0","in_index":2,"out":"br1","out_index":3,"physin":"eth0","physin_index":4,"physout_index":5,` +
		`"proto":"udp","src":"192.0.2.1:4660","dst":"192.0.2.2:9","len":28}`
	if got := testkit.JSON(t, n); got != object {
		t.Errorf("JSON %s\nwant %s", got, object)
	}
}

func TestVerdictIsLogged(t *testing.T) {
	v := nfqueue.Accept().WithMark(7).WithConntrackMark(1, 0xff)
	for _, v := range []any{v, &v} {
		if got := testkit.Logged("v", v); got != "v.action=accept v.mark=7 v.conntrack.mark=1 v.conntrack.mask=255" {
			t.Errorf("%T: got %q", v, got)
		}
	}
}

func TestVerdictSaysWhatItChangesOnTheConnection(t *testing.T) {
	for _, c := range []struct {
		v    nfqueue.Verdict
		want string
	}{
		{nfqueue.Accept().WithConntrackMark(7, 0xffffffff), "accept, ct mark 0x7"},
		{nfqueue.Accept().WithConntrackMark(0x101, 0xff), "accept, ct mark 0x1/0xff"},
		{nfqueue.Accept().WithConntrackLabels(labels(1, 127), attr.AllLabels()), "accept, ct labels [1 127]"},
		{nfqueue.Accept().WithConntrackLabels(labels(1, 127), labels(1, 2)), "accept, ct labels [1] of [1 2]"},
		{nfqueue.Accept().WithConntrackTimeout(time.Minute), "accept, ct timeout 1m0s"},
		{nfqueue.Accept().WithConntrackStatus(attr.StatusAssured | attr.StatusConfirmed), "accept, ct status assured"},
		{nfqueue.Drop().WithMark(7).WithConntrackMark(7, 0xffffffff).WithConntrackTimeout(time.Second), "drop, mark 0x7, ct mark 0x7, ct timeout 1s"},
		{nfqueue.Accept().WithExpectation(expectation()), "accept, ct expectation 17 192.0.2.2:69 > 192.0.2.1:4660"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// Nobody is made to believe that such a verdict holds a packet.
func TestHoldForWithAnUnusableFallbackIsShownAsSuch(t *testing.T) {
	for name, v := range map[string]nfqueue.Verdict{
		"Hold":             nfqueue.HoldFor(time.Second, nfqueue.Hold()),
		"a payload":        nfqueue.HoldFor(time.Second, nfqueue.Accept().WithPayload(udpPacket("x"))),
		"conntrack, later": nfqueue.HoldFor(time.Second, nfqueue.Accept()).WithConntrackMark(1, 0xffffffff),
	} {
		if got, want := v.String(), "hold: "+nfqueue.ErrHoldFallback.Error(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if got, want := testkit.JSON(t, v), `{"action":"hold","error":"`+nfqueue.ErrHoldFallback.Error()+`"}`; got != want {
			t.Errorf("%s: JSON %s, want %s", name, got, want)
		}
	}
}

func TestVerdictAsJSON(t *testing.T) {
	none := attr.ConntrackLabels{}
	for _, c := range []struct {
		v    nfqueue.Verdict
		want string
	}{
		{nfqueue.Verdict{}, `{"action":"drop"}`},
		{nfqueue.Accept().WithMark(0), `{"action":"accept","mark":0}`},
		{nfqueue.Requeue(7), `{"action":"requeue","queue":7,"bypass":false}`},
		{nfqueue.RequeueOrAccept(7), `{"action":"requeue","queue":7,"bypass":true}`},
		{nfqueue.Hold(), `{"action":"hold"}`},
		{nfqueue.HoldFor(time.Second, nfqueue.Accept().WithMark(7)), `{"action":"hold","for":"1s","then":"accept","mark":7}`},
		{nfqueue.HoldFor(0, nfqueue.Requeue(9)), `{"action":"hold","for":"0s","then":"requeue","queue":9,"bypass":false}`},
		{nfqueue.Repeat().WithPriority(3).WithVLAN(attr.VLAN{Protocol: 0x8100, TCI: 42}).WithLinkHeader(make([]byte, 14)).WithPayload(make([]byte, 40)),
			`{"action":"repeat","priority":3,"vlan":"802.1Q id 42","link_header":14,"payload":40}`},
		{nfqueue.Accept().WithConntrackMark(7, 0xff).WithConntrackLabels(labels(1, 127), attr.AllLabels()).WithConntrackTimeout(time.Minute),
			`{"action":"accept","conntrack":{"mark":7,"mask":255,"labels":[1,127],"timeout":"1m0s"}}`},
		{nfqueue.Accept().WithConntrackMark(7, 0xffffffff).WithConntrackLabels(none, labels(2)),
			`{"action":"accept","conntrack":{"mark":7,"labels":[],"labels_mask":[2]}}`},
		{nfqueue.Accept().WithExpectation(expectation()),
			`{"action":"accept","conntrack":{"expectation":{"proto":17,"src":"192.0.2.2:69","dst":"192.0.2.1:4660"}}}`},
	} {
		for _, v := range []any{c.v, &c.v} {
			if got := testkit.JSON(t, v); got != c.want {
				t.Errorf("%v: got %s\nwant %s", c.v, got, c.want)
			}
		}
	}
}
