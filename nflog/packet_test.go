package nflog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// plainPacket is what a rule in an output chain makes of a packet.
func plainPacket() nflog.Packet {
	return nflog.Packet{
		Group: 5, Proto: 0x0800, Family: nfnl.IPv4, Hook: nfnl.Output,
		Prefix: []byte("out "), OutDev: 2, HasOwner: true, UID: 1000, GID: 1000, Seq: 7,
		Payload: bytes.Repeat([]byte("payload "), 8),
	}
}

// inputPacket is what a rule at the hook input logs.
func inputPacket() nflog.Packet {
	return nflog.Packet{
		Group: 5, Proto: 0x0800, Family: nfnl.IPv4, Hook: nfnl.Input,
		Prefix: []byte("in "), InDev: 2, Mark: 7,
		HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		HardwareType: 1, HardwareLen: 14, HardwareHeader: []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00"),
		Time:    time.Unix(1234567890, 123456000),
		Seq:     7,
		Payload: bytes.Repeat([]byte("payload "), 8),
	}
}

// fullPacket has everything that a packet can have.
func fullPacket() nflog.Packet {
	return nflog.Packet{
		Group: 5, Proto: 0x86dd, Family: nfnl.Bridge, Hook: nfnl.Forward,
		Prefix: []byte("bridge: "),
		InDev:  2, OutDev: 3, PhysInDev: 4, PhysOutDev: 5,
		HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		HardwareType: 1, HardwareLen: 14, HardwareHeader: []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x86\xdd"),
		LinkHeader: []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x86\xdd"),
		VLAN:       attr.VLAN{Protocol: 0x8100, TCI: 42},
		Payload:    bytes.Repeat([]byte{0x60}, 40),
		Time:       time.Unix(1234567890, 123456000),
		Mark:       0xbeef,
		HasOwner:   true, UID: 1000, GID: 100,
		Seq: 0xfffffffe, GlobalSeq: 0xffffffff,
		ConntrackInfo: attr.InfoUntracked,
	}
}

// message returns a packet message with the given attributes.
func message(attrs ...[]byte) nfnl.Message {
	return nfnl.Message{
		Type: 0x0400, Family: nfnl.IPv4, Resource: 5,
		Attrs: slices.Concat(attrs...),
	}
}

// tlv returns an attribute with its padding.
func tlv(typ uint16, value ...byte) []byte { return testkit.List(testkit.TLV(typ, value...)) }

// packetHeader is the attribute that every packet has: IPv4 at output.
func packetHeader() []byte { return tlv(1, 0x08, 0x00, 3, 0) }

func TestDecodeReadsEveryAttribute(t *testing.T) {
	mac := []byte{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		name string
		attr []byte
		want nflog.Packet
	}{
		{"packet header", tlv(1, 0x86, 0xdd, 2, 0), nflog.Packet{Proto: 0x86dd, Hook: nfnl.Forward}},
		{"mark", tlv(2, 0, 0, 0xbe, 0xef), nflog.Packet{Mark: 0xbeef}},
		{"timestamp", tlv(3, 0, 0, 0, 0, 0x49, 0x96, 0x02, 0xd2, 0, 0, 0, 0, 0, 0x01, 0xe2, 0x40),
			nflog.Packet{Time: time.Unix(1234567890, 123456000)}},
		{"input device", tlv(4, 0, 0, 1, 2), nflog.Packet{InDev: 258}},
		{"output device", tlv(5, 0, 0, 1, 3), nflog.Packet{OutDev: 259}},
		{"physical input device", tlv(6, 0, 0, 1, 4), nflog.Packet{PhysInDev: 260}},
		{"physical output device", tlv(7, 0, 0, 1, 5), nflog.Packet{PhysOutDev: 261}},
		{"hardware address", tlv(8, append([]byte{0, 6, 0, 0}, append(mac, 0, 0)...)...), nflog.Packet{HardwareAddr: mac}},
		{"payload", tlv(9, 0x45, 0, 0), nflog.Packet{Payload: []byte{0x45, 0, 0}}},
		{"prefix", tlv(10, 'a', 'b', 0), nflog.Packet{Prefix: []byte("ab")}},
		{"no prefix", tlv(10, 0), nflog.Packet{Prefix: []byte{}}},
		{"UID", tlv(11, 0, 0, 3, 0xe8), nflog.Packet{HasOwner: true, UID: 1000}},
		{"UID 0", tlv(11, 0, 0, 0, 0), nflog.Packet{HasOwner: true}},
		{"sequence", tlv(12, 0xff, 0, 0, 1), nflog.Packet{Seq: 0xff000001}},
		{"global sequence", tlv(13, 0xff, 0, 0, 2), nflog.Packet{GlobalSeq: 0xff000002}},
		{"GID", tlv(14, 0, 0, 3, 0xe9), nflog.Packet{GID: 1001}},
		{"hardware type", tlv(15, 3, 4), nflog.Packet{HardwareType: 772}},
		{"hardware header", tlv(16, mac...), nflog.Packet{HardwareHeader: mac}},
		{"empty hardware header", tlv(16), nflog.Packet{HardwareHeader: []byte{}}},
		{"hardware length", tlv(17, 1, 14), nflog.Packet{HardwareLen: 270}},
		{"VLAN as the kernel orders it", tlv(0x8014, append(tlv(2, 0xa0, 42), tlv(1, 0x81, 0)...)...),
			nflog.Packet{VLAN: attr.VLAN{Protocol: 0x8100, TCI: 0xa02a}}},
		{"VLAN the other way round", tlv(0x8014, append(tlv(1, 0x88, 0xa8), tlv(2, 0, 10)...)...),
			nflog.Packet{VLAN: attr.VLAN{Protocol: 0x88a8, TCI: 10}}},
		{"link header", tlv(21, mac...), nflog.Packet{LinkHeader: mac}},
		{"conntrack info", tlv(19, 0, 0, 0, 2), nflog.Packet{ConntrackInfo: attr.InfoNew}},
		{"an attribute of the future", tlv(99, 1, 2, 3), nflog.Packet{}},
		{"an empty one of the future", append(tlv(99), tlv(2, 0, 0, 0, 9)...), nflog.Packet{Mark: 9}},
		{"padding at the end", append(tlv(2, 0, 0, 0, 9), 0, 0, 0), nflog.Packet{Mark: 9}},
		{"the flag for network byte order", tlv(0x4002, 0, 0, 0, 9), nflog.Packet{Mark: 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got nflog.Packet
			if err := got.Decode(message(packetHeader(), c.attr)); err != nil {
				t.Fatal(err)
			}
			c.want.Group, c.want.Family = 5, nfnl.IPv4
			if c.want.ConntrackInfo == 0 {
				c.want.ConntrackInfo = attr.InfoUntracked
			}
			if c.want.Proto == 0 {
				c.want.Proto, c.want.Hook = 0x0800, nfnl.Output
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDecodeForgetsThePacketBefore(t *testing.T) {
	full, got := fullPacket(), nflog.Packet{}
	m, _, err := nfnl.Next(nflogtest.AppendPacket(nil, &full))
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Decode(m); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, full) {
		t.Errorf("got  %+v\nwant %+v", got, full)
	}
	if err := got.Decode(message(packetHeader())); err != nil {
		t.Fatal(err)
	}
	want := nflog.Packet{Group: 5, Proto: 0x0800, Family: nfnl.IPv4, Hook: nfnl.Output, ConntrackInfo: attr.InfoUntracked}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeRefusesWhatIsTooShort(t *testing.T) {
	for _, c := range []struct {
		name string
		attr []byte
	}{
		{"packet header", tlv(1, 8, 0)},
		{"mark", tlv(2, 0, 0, 1)},
		{"timestamp", tlv(3, make([]byte, 15)...)},
		{"timestamp as long as an integer", tlv(3, 0, 0, 0, 1)},
		{"input device", tlv(4, 0)},
		{"output device", tlv(5, 0)},
		{"physical input device", tlv(6)},
		{"physical output device", tlv(7, 0, 0)},
		{"hardware address", tlv(8, 0, 6)},
		{"UID", tlv(11, 0)},
		{"sequence", tlv(12, 0, 0, 0)},
		{"global sequence", tlv(13, 0)},
		{"GID", tlv(14, 0)},
		{"hardware type", tlv(15, 0)},
		{"hardware length", tlv(17, 0)},
		{"conntrack info", tlv(19, 0, 0, 2)},
		{"VLAN", tlv(0x8014, tlv(1, 0x81)...)},
		{"an attribute that ends beyond the message", []byte{200, 0, 200, 0}},
		{"an attribute of 8 bytes that ends beyond the message", tlv(2, 0, 0, 0, 1)[:7]},
		{"an attribute without a whole header", []byte{8, 0, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p nflog.Packet
			if err := p.Decode(message(packetHeader(), c.attr)); !errors.Is(err, attr.ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("no packet header", func(t *testing.T) {
		var p nflog.Packet
		if err := p.Decode(message(tlv(9, 0x45))); !errors.Is(err, nfnl.ErrMalformed) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAppendToAPacketDoesNotReachItsNeighbours(t *testing.T) {
	full, p := fullPacket(), nflog.Packet{}
	datagram := nflogtest.AppendPacket(nil, &full)
	before := bytes.Clone(datagram)
	m, _, err := nfnl.Next(datagram)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(m); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{p.Prefix, p.HardwareAddr, p.HardwareHeader, p.LinkHeader, p.Payload} {
		_ = append(b, "over the edge"...)
	}
	if !bytes.Equal(datagram, before) {
		t.Error("the datagram has changed")
	}
}

func TestCloneSharesNothing(t *testing.T) {
	full, p := fullPacket(), nflog.Packet{}
	m, _, err := nfnl.Next(nflogtest.AppendPacket(nil, &full))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(m); err != nil {
		t.Fatal(err)
	}
	c := p.Clone()
	for i := range m.Attrs {
		m.Attrs[i] = 0xff
	}
	if !reflect.DeepEqual(*c, full) {
		t.Errorf("got  %+v\nwant %+v", *c, full)
	}
}

// Only attributes in the kernel's order and of their usual length take the short
// way through the decoder. The long way must find the same.
func TestDecodeReadsAttributesInAnyOrder(t *testing.T) {
	for _, want := range []nflog.Packet{plainPacket(), inputPacket(), fullPacket()} {
		want.ConntrackInfo = attr.InfoUntracked
		m, _, err := nfnl.Next(nflogtest.AppendPacket(nil, &want))
		if err != nil {
			t.Fatal(err)
		}
		var attrs [][]byte
		for b := m.Attrs; len(b) > 0; {
			n := min((int(binary.NativeEndian.Uint16(b))+3)&^3, len(b))
			attrs, b = append(attrs, b[:n]), b[n:]
		}
		for i := range attrs {
			var got nflog.Packet
			m.Attrs = slices.Concat(slices.Concat(attrs[i:]...), slices.Concat(attrs[:i]...))
			if err := got.Decode(m); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("beginning with attribute %d:\ngot  %+v\nwant %+v", i, got, want)
			}
		}
		slices.Reverse(attrs)
		var got nflog.Packet
		m.Attrs = slices.Concat(attrs...)
		if err := got.Decode(m); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("in reverse: error %v\ngot  %+v\nwant %+v", err, got, want)
		}
	}
}

func TestDecodeReadsTheBeginningOfWhatIsTooLong(t *testing.T) {
	var got nflog.Packet
	err := got.Decode(message(tlv(1, 0x86, 0xdd, 2, 0, 9, 9), tlv(4, 0, 0, 0, 5, 9), tlv(2, 0, 0, 0, 7, 9, 9, 9, 9),
		tlv(15, 0, 1, 9), tlv(12, 0, 0, 0, 8, 9), tlv(9, 0x60)))
	want := nflog.Packet{Group: 5, Family: nfnl.IPv4, Proto: 0x86dd, Hook: nfnl.Forward, InDev: 5, Mark: 7,
		HardwareType: 1, Seq: 8, Payload: []byte{0x60}, ConntrackInfo: attr.InfoUntracked}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\ngot  %+v\nwant %+v", err, got, want)
	}
}
