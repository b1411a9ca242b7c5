package engine

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func TestNextReadsWhatTheKernelSends(t *testing.T) {
	logged := func(n uint32) Message {
		return Message{Type: logPacket, Family: IPv4, Resource: 3, Attrs: goldenLogAttrs(n)}
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want []Message
	}{
		{"nothing", nil, nil},
		{"request", goldenBind, []Message{
			{Type: queueConfig, Flags: FlagRequest | FlagAck, Seq: 1, Resource: 5, Attrs: goldenBindAttrs}}},
		{"acknowledgement", goldenAck, []Message{
			{Type: typeError, Flags: flagCapped, Seq: 1, PortID: 0x2f2b, Attrs: goldenAck[16:]}}},
		{"packet without padding", goldenPacket, []Message{
			{Type: queuePacket, Family: IPv4, Resource: 5, Attrs: goldenPacketAttrs}}},
		{"two log messages and DONE", goldenLog, []Message{
			logged(0), logged(1), {Type: typeDone, Attrs: nfgen(0, 3)}}},
		{"no attributes", wire(nlmsg(20, 0x0300, 0, 0, 0), nfgen(7, 0xfffe)), []Message{
			{Type: queuePacket, Family: Bridge, Resource: 0xfffe, Attrs: []byte{}}}},
		{"netlink's own without body", nlmsg(16, 1, 0, 0, 0), []Message{{Type: typeNoop, Attrs: []byte{}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []Message
			for rest := tt.in; len(rest) > 0; {
				var m Message
				var err error
				if m, rest, err = Next(rest); err != nil {
					t.Fatal(err)
				}
				got = append(got, m)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestNextAllowsForMissingPaddingAtTheEnd(t *testing.T) {
	for n := range 4 {
		attrs := bytes.Repeat([]byte{0xaa}, n)
		first := Message{Type: queuePacket, Resource: 1, Attrs: attrs}.Append(nil)
		if want := (20 + n + 3) / 4 * 4; len(first) != want {
			t.Fatalf("%d attribute bytes: Append made %d bytes, want %d", n, len(first), want)
		}
		second := goldenPacket[:]
		for _, cut := range []int{0, (4 - n) % 4} { // with the padding, without
			alone := first[:len(first)-cut]
			m, rest, err := Next(alone)
			if err != nil || !bytes.Equal(m.Attrs, attrs) || len(rest) != 0 {
				t.Errorf("%d bytes without %d of padding: %x, rest %x, %v", n, cut, m.Attrs, rest, err)
			}
		}
		m, rest, err := Next(wire(first, second))
		if err != nil || !bytes.Equal(m.Attrs, attrs) || !bytes.Equal(rest, second) {
			t.Errorf("%d bytes, followed by another: %x, rest %x, %v", n, m.Attrs, rest, err)
		}
	}
}

func TestNextRefusesWhatMakesNoSense(t *testing.T) {
	cut := func(attrs []byte) Message { return Message{Type: queuePacket, Family: IPv4, Resource: 5, Attrs: attrs} }
	for _, tt := range []struct {
		name string
		in   []byte
		want Message // as much as is there
		err  string
	}{
		{"one byte", []byte{1}, Message{}, "1 bytes, shorter than a header"},
		{"15 bytes", goldenPacket[:15], Message{}, "15 bytes, shorter than a header"},
		{"no nfnetlink header", nlmsg(16, 0x0300, 0, 0, 0), Message{Type: queuePacket},
			"16 bytes, shorter than an nfnetlink header"},
		{"half an nfnetlink header", wire(nlmsg(18, 0x0300, 0, 9, 0), uint16(2)), Message{Type: queuePacket, Seq: 9},
			"18 bytes, shorter than an nfnetlink header"},
		{"cut in the header", goldenPacket[:19], Message{Type: queuePacket},
			"19 bytes, shorter than an nfnetlink header"},
		{"cut in the attributes", goldenPacket[:99], cut(goldenPacketAttrs[:79]),
			"length 107 in a datagram that has 99 bytes left"},
		{"length 0", wire(nlmsg(0, 0x0300, 0, 0, 0), nfgen(2, 5)), cut([]byte{}),
			"length 0 in a datagram that has 20 bytes left"},
		{"length below the header", wire(nlmsg(15, 0x0300, 0, 0, 0), nfgen(2, 5)), cut([]byte{}),
			"length 15 in a datagram that has 20 bytes left"},
		{"length above 31 bits", wire(nlmsg(0xffffffff, 0x0300, 0, 0, 0), nfgen(2, 5)), cut([]byte{}),
			"length 4294967295 in a datagram that has 20 bytes left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, rest, err := Next(tt.in)
			if !errors.Is(err, ErrMalformed) || err.Error() != "malformed message: "+tt.err {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if rest != nil {
				t.Errorf("%d bytes are said to follow", len(rest))
			}
			if !reflect.DeepEqual(m, tt.want) {
				t.Errorf("\n got %+v\nwant %+v", m, tt.want)
			}
		})
	}
}

func TestAppendingToAttrsCannotOverwriteWhatFollows(t *testing.T) {
	whole := wire(goldenBind, goldenBind)
	m, rest, _ := Next(whole)
	_ = append(m.Attrs, 0xff)
	if !bytes.Equal(rest, goldenBind) {
		t.Error("the second message was overwritten")
	}
	m, _, _ = Next(whole[:24]) // cut
	_ = append(m.Attrs, 0xff)
	if !bytes.Equal(whole[:28], goldenBind) {
		t.Error("what follows a cut message was overwritten")
	}
}

func TestAppendWritesWhatTheKernelTakes(t *testing.T) {
	bind := Message{Type: queueConfig, Flags: FlagRequest | FlagAck, Seq: 1, Resource: 5, Attrs: goldenBindAttrs}
	ack := Message{Type: typeError, Flags: flagCapped, Seq: 1, PortID: 0x2f2b, Attrs: goldenAck[16:]}
	padded := append(bytes.Clone(goldenPacket), 0)
	packet := Message{Type: queuePacket, Family: IPv4, Resource: 5, Attrs: goldenPacketAttrs}
	for _, tt := range []struct {
		m    Message
		want []byte
	}{{bind, goldenBind}, {ack, goldenAck}, {packet, padded}} {
		if got := tt.m.Append(nil); !bytes.Equal(got, tt.want) {
			t.Errorf("%v:\n got %x\nwant %x", tt.m.Type, got, tt.want)
		}
		// Behind something else, and in two steps.
		b := []byte("8 bytes!")
		b = End(append(Begin(b, &tt.m), tt.m.Attrs...), 8)
		if want := append([]byte("8 bytes!"), tt.want...); !bytes.Equal(b, want) {
			t.Errorf("%v behind 8 bytes:\n got %x\nwant %x", tt.m.Type, b, want)
		}
	}
}

func TestSendsAreSplitBetweenMessages(t *testing.T) {
	long := Message{Type: queueVerdict, Attrs: make([]byte, 100)}.Append(nil) // 120 bytes
	three := wire(goldenVerdict, goldenVerdict, goldenVerdict)                // 32 each
	for _, tt := range []struct {
		msgs  []byte
		limit int
		want  int
	}{
		{three, 96, 96},
		{three, 1000, 96},
		{three, 95, 64},
		{three, 64, 64},
		{three, 63, 32},
		{three, 32, 32},
		{three, 31, 32},                       // for the kernel to refuse
		{wire(long, goldenVerdict), 100, 120}, // the same
		{wire(goldenVerdict, goldenPacket), 108, 32}, // the last is not padded
		{goldenPacket, 64, 107},
		{wire(goldenVerdict, nlmsg(0, 0, 0, 0, 0)), 40, 32}, // nonsense goes too
		{make([]byte, 64), 40, 64},
		{wire(nlmsg(0xfffffff0, 0, 0, 0, 0), goldenVerdict), 40, 48},
	} {
		if got := headOf(tt.msgs, tt.limit); got != tt.want {
			t.Errorf("%d bytes, limit %d: %d, want %d", len(tt.msgs), tt.limit, got, tt.want)
		}
	}
}

func TestFamiliesHaveNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{fmt.Sprint(Unspec, INet, IPv4, ARP), "unspec inet ip arp"},
		{fmt.Sprint(NetDev, Bridge, IPv6, Family(99)), "netdev bridge ip6 family 99"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
}
