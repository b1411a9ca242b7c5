package nflog_test

import (
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// syn begins a TCP connection from 192.0.2.1 port 40000 to 192.0.2.2 port 23.
var syn = []byte{
	0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0xf6, 0xcd, 192, 0, 2, 1, 192, 0, 2, 2,
	0x9c, 0x40, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
}

// frame is syn behind a link header that looks like one of IPv6.
var frame = append([]byte{0x66, 0, 0, 0, 0, 2, 0x46, 0, 0, 0, 0, 1, 8, 0}, syn...)

// shown are packets as String, slog and JSON show them.
var shown = []struct {
	name, text, log, json string
	p                     nflog.Packet
}{
	{"TCP", `packet 12 of group 5, "in ": ip input, in 2, tcp 192.0.2.1:40000 > 192.0.2.2:23, 40 bytes, mark 0x7`,
		`p.group=5 p.seq=12 p.time=2009-02-13T23:31:30.123Z p.prefix="in " p.family=ip p.hook=input p.in_index=2 ` +
			`p.proto=tcp p.src=192.0.2.1:40000 p.dst=192.0.2.2:23 p.len=40 p.mark=7 p.uid=1000 p.gid=100`,
		`{"group":5,"seq":12,"time":"2009-02-13T23:31:30.123456Z","prefix":"in ","family":"ip","hook":"input","in_index":2,` +
			`"proto":"tcp","src":"192.0.2.1:40000","dst":"192.0.2.2:23","len":40,"mark":7,"uid":1000,"gid":100}`,
		nflog.Packet{Group: 5, Seq: 12, Time: time.Unix(1234567890, 123456000).UTC(), Prefix: []byte("in "), Family: nfnl.IPv4, Hook: nfnl.Input,
			InDev: 2, Proto: 0x0800, Payload: syn, Mark: 7, HasOwner: true, UID: 1000, GID: 100}},
	{"without the kernel's time", "packet 3 of group 5: ip output, tcp 192.0.2.1:40000 > 192.0.2.2:23, 40 bytes",
		"p.group=5 p.seq=3 p.received=2009-02-13T23:31:30.123Z p.family=ip p.hook=output p.proto=tcp p.src=192.0.2.1:40000 p.dst=192.0.2.2:23 p.len=40",
		`{"group":5,"seq":3,"received":"2009-02-13T23:31:30.123456Z","family":"ip","hook":"output",` +
			`"proto":"tcp","src":"192.0.2.1:40000","dst":"192.0.2.2:23","len":40}`,
		nflog.Packet{Group: 5, Seq: 3, Time: time.Unix(1234567890, 123456000).UTC(), ReceiptTime: true, Family: nfnl.IPv4, Hook: nfnl.Output, Payload: syn}},
	{"cut", "packet 0 of group 5: ip forward, in 2, out 3, tcp 192.0.2.1 > 192.0.2.2, 40 bytes",
		"p.group=5 p.seq=0 p.family=ip p.hook=forward p.in_index=2 p.out_index=3 p.proto=tcp p.src=192.0.2.1 p.dst=192.0.2.2 p.len=40",
		`{"group":5,"seq":0,"family":"ip","hook":"forward","in_index":2,"out_index":3,"proto":"tcp","src":"192.0.2.1","dst":"192.0.2.2","len":40}`,
		nflog.Packet{Group: 5, Family: nfnl.IPv4, Hook: nfnl.Forward, InDev: 2, OutDev: 3, Payload: syn[:20]}},
	{"no IP, with a tag", "packet 0 of group 0: netdev ingress, in 4, physin 5, 802.1Q id 42, EtherType 0x0806, 3 bytes",
		`p.group=0 p.seq=0 p.family=netdev p.hook=ingress p.in_index=4 p.physin_index=5 p.vlan="802.1Q id 42" p.ethertype=0x0806 p.len=3`,
		`{"group":0,"seq":0,"family":"netdev","hook":"ingress","in_index":4,"physin_index":5,"vlan":"802.1Q id 42","ethertype":"0x0806","len":3}`,
		nflog.Packet{Family: nfnl.NetDev, Hook: nfnl.Ingress, InDev: 4, PhysInDev: 5, Proto: 0x0806, Payload: []byte{0, 1, 8}, VLAN: attr.VLAN{Protocol: 0x8100, TCI: 42}}},
	{"on the way out of a device", "packet 0 of group 0: netdev egress, out 3, tcp 192.0.2.1:40000 > 192.0.2.2:23, 40 bytes",
		"p.group=0 p.seq=0 p.family=netdev p.hook=egress p.out_index=3 p.proto=tcp p.src=192.0.2.1:40000 p.dst=192.0.2.2:23 p.len=40",
		`{"group":0,"seq":0,"family":"netdev","hook":"egress","out_index":3,"proto":"tcp","src":"192.0.2.1:40000","dst":"192.0.2.2:23","len":40}`,
		nflog.Packet{Family: nfnl.NetDev, Hook: nfnl.Egress, OutDev: 3, Proto: 0x0800, LinkHeader: frame[:14], Payload: frame}},
	{"on the way out, cut short", "packet 0 of group 0: netdev egress, out 3, EtherType 0x0800",
		"p.group=0 p.seq=0 p.family=netdev p.hook=egress p.out_index=3 p.ethertype=0x0800",
		`{"group":0,"seq":0,"family":"netdev","hook":"egress","out_index":3,"ethertype":"0x0800"}`,
		nflog.Packet{Family: nfnl.NetDev, Hook: nfnl.Egress, OutDev: 3, Proto: 0x0800, LinkHeader: frame[:14], Payload: frame[:10]}},
	// The sender's link-layer address begins like an IP header.
	{"an ARP request", "packet 0 of group 0: arp output, out 3, EtherType 0x0806, 54 bytes",
		"p.group=0 p.seq=0 p.family=arp p.hook=output p.out_index=3 p.ethertype=0x0806 p.len=54",
		`{"group":0,"seq":0,"family":"arp","hook":"output","out_index":3,"ethertype":"0x0806","len":54}`,
		nflog.Packet{Family: nfnl.ARP, Hook: nfnl.Output, OutDev: 3, Proto: 0x0806, Payload: frame}},
	{"metadata only, an odd prefix", `packet 0 of group 0, "<\"\xff": ip6 output, out 3, EtherType 0x86dd`,
		"p.group=0 p.seq=0 p.prefix=\"<\\\"\\xff\" p.family=ip6 p.hook=output p.out_index=3 p.ethertype=0x86dd",
		`{"group":0,"seq":0,"prefix":"\u003c\"\ufffd","family":"ip6","hook":"output","out_index":3,"ethertype":"0x86dd"}`,
		nflog.Packet{Family: nfnl.IPv6, Hook: nfnl.Output, OutDev: 3, Proto: 0x86dd, Prefix: []byte("<\"\xff")}},
}

// A copy of a packet reads like the packet, wherever it is.
func TestPacketIsShown(t *testing.T) {
	for _, c := range shown {
		testkit.WantShown(t, c.name, &c.p, c.text, c.log, c.json)
	}
}

func TestPacketIsShownWithNames(t *testing.T) {
	p := nflog.Packet{Group: 5, Family: nfnl.IPv4, Hook: nfnl.Forward, InDev: 2, OutDev: 3, PhysInDev: 4, Payload: syn}
	n := p.Named(testkit.Names{2: "eth0", 4: "port1"}) // 3 has gone
	const text = "packet 0 of group 5: ip forward, in eth0, out 3, physin port1, tcp 192.0.2.1:40000 > 192.0.2.2:23, 40 bytes"
	if got := n.String(); got != text {
		t.Errorf("got  %q\nwant %q", got, text)
	}
	const log = "p.group=5 p.seq=0 p.family=ip p.hook=forward p.in=eth0 p.in_index=2 p.out_index=3 p.physin=port1 p.physin_index=4 " +
		"p.proto=tcp p.src=192.0.2.1:40000 p.dst=192.0.2.2:23 p.len=40"
	if got := testkit.Logged("p", n); got != log {
		t.Errorf("logged %q\nwant %q", got, log)
	}
	const object = `{"group":5,"seq":0,"family":"ip","hook":"forward","in":"eth0","in_index":2,"out_index":3,"physin":"port1","physin_index":4,` +
		`"proto":"tcp","src":"192.0.2.1:40000","dst":"192.0.2.2:23","len":40}`
	if got := testkit.JSON(t, n); got != object {
		t.Errorf("JSON %s\nwant %s", got, object)
	}
}
