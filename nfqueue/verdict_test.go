package nfqueue_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// verdictMessage returns the verdict on packet 1 of queue 5, with a word as
// hexadecimal digits and more attributes.
func verdictMessage(word string, attrs ...[]byte) []byte {
	body := tlv(2, word, "00000001")
	for _, a := range attrs {
		body = append(body, testkit.List(a)...)
	}
	return wire(header(20+len(body), 0x0301, 1, 1, "00"), body)
}

func TestVerdictMessages(t *testing.T) {
	p, odd := decode(t, fromLinux()), []byte("twenty-one odd bytes.")
	for name, c := range map[string]struct {
		v    nfqueue.Verdict
		want []byte
	}{
		"zero":                {nfqueue.Verdict{}, verdictMessage("00000000")},
		"drop":                {nfqueue.Drop(), verdictMessage("00000000")},
		"accept":              {nfqueue.Accept(), verdictMessage("00000001")},
		"stop":                {nfqueue.Stop(), verdictMessage("00000005")},
		"repeat":              {nfqueue.Repeat(), verdictMessage("00000004")},
		"requeue":             {nfqueue.Requeue(0x1234), verdictMessage("12340003")},
		"requeue to 0":        {nfqueue.Requeue(0), verdictMessage("00000003")},
		"requeue or accept":   {nfqueue.RequeueOrAccept(0xffff), verdictMessage("ffff8003")},
		"hold":                {nfqueue.Hold(), nil},
		"mark":                {nfqueue.Accept().WithMark(7), verdictMessage("00000001", tlv(3, "00000007"))},
		"mark 0":              {nfqueue.Accept().WithMark(0), verdictMessage("00000001", tlv(3, "00000000"))},
		"priority":            {nfqueue.Accept().WithPriority(6), verdictMessage("00000001", tlv(21, "00000006"))},
		"mark twice":          {nfqueue.Accept().WithMark(7).WithMark(8), verdictMessage("00000001", tlv(3, "00000008"))},
		"raw payload":         {nfqueue.Accept().WithRawPayload(odd), verdictMessage("00000001", tlv(10, odd))},
		"raw, then finished":  {nfqueue.Accept().WithRawPayload(odd).WithPayload(udpPacket("x")), verdictMessage("00000001", tlv(10, udpPacket("x")))},
		"finished, then raw":  {nfqueue.Accept().WithPayload(udpPacket("x")).WithRawPayload(odd), verdictMessage("00000001", tlv(10, odd))},
		"drop with a mark":    {nfqueue.Drop().WithMark(7), verdictMessage("00000000", tlv(3, "00000007"))},
		"repeat with a mark":  {nfqueue.Repeat().WithMark(7), verdictMessage("00000004", tlv(3, "00000007"))},
		"requeue with a mark": {nfqueue.Requeue(9).WithMark(7), verdictMessage("00090003", tlv(3, "00000007"))},
		"all": {nfqueue.Accept().WithRawPayload(odd).WithPriority(6).WithMark(7),
			verdictMessage("00000001", tlv(3, "00000007"), tlv(21, "00000006"), tlv(10, odd))},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.v.Append([]byte("before"), p)
			if err != nil || !bytes.Equal(got[6:], c.want) || string(got[:6]) != "before" {
				t.Errorf("got  %x, %v\nwant %x", got[6:], err, c.want)
			}
		})
	}
}

func TestVerdictOfTheKernelsNumber(t *testing.T) {
	for word, want := range map[uint32]nfqueue.Verdict{
		0:          nfqueue.Drop(),
		1:          nfqueue.Accept(),
		3:          nfqueue.Requeue(0),
		0x12340003: nfqueue.Requeue(0x1234),
		0xffff8003: nfqueue.RequeueOrAccept(0xffff),
		4:          nfqueue.Repeat(),
		5:          nfqueue.Stop(),
	} {
		if got, err := nfqueue.VerdictOf(word); err != nil || !got.Equal(want) {
			t.Errorf("%#x: %v, %v, want %v", word, got, err, want)
		}
	}
	for _, word := range []uint32{2, 6, 0x100, 0x101, 0x8001, 0x10000, 0x10001, 0x4003, 0xffffffff} {
		if got, err := nfqueue.VerdictOf(word); err == nil || !got.Equal(nfqueue.Drop()) {
			t.Errorf("%#x: %v, %v, want an error", word, got, err)
		}
	}
}

func TestVerdictIsForThePacketsQueue(t *testing.T) {
	p := decode(t, packetMessage(0xfffffffe))
	got, err := nfqueue.Accept().Append(nil, p)
	m := parse(t, got)
	if err != nil || m.Resource != 7 || m.Seq != p.ID || m.Flags != engine.FlagRequest {
		t.Errorf("got %+v, %v", m, err)
	}
	if want := tlv(2, "00000001 fffffffe"); !bytes.Equal(m.Attrs, want) {
		t.Errorf("attributes %x, want %x", m.Attrs, want)
	}
}

func TestPayloadOfEveryLengthIsSentAsLongAsItIs(t *testing.T) {
	p := decode(t, fromLinux())
	for n := 20; n < 29; n++ {
		payload := bytes.Repeat([]byte{0x45}, n)
		b, err := nfqueue.Accept().WithRawPayload(payload).Append(nil, p)
		if err != nil || len(b)%4 != 0 {
			t.Fatalf("%d bytes: message of %d, %v", n, len(b), err)
		}
		if got := payloadOf(parse(t, b)); !bytes.Equal(got, payload) {
			t.Errorf("%d bytes are sent as %x", n, got)
		}
	}
}

// payloadOf returns the payload in a verdict message, nil if there is none.
func payloadOf(m nfnl.Message) (payload []byte) {
	for d := attr.NewDecoder(m.Attrs); d.Next(); {
		if d.Type() == 10 {
			payload = d.Bytes()
		}
	}
	return payload
}

func TestPayloadIsFinishedInACopy(t *testing.T) {
	p := decode(t, fromLinux())
	want := udpPacket("hello, world")
	given := bytes.Clone(want)
	clear(given[2:4])   // total length
	clear(given[10:12]) // header checksum
	clear(given[24:28]) // UDP length and checksum
	before := bytes.Clone(given)
	b, err := nfqueue.Accept().WithPayload(given).Append(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := payloadOf(parse(t, b)); !bytes.Equal(got, want) {
		t.Errorf("sent %x, want %x", got, want)
	}
	if !bytes.Equal(given, before) {
		t.Error("the payload that was given has been written to")
	}
}

// damaged is a packet whose checksum is wrong.
func damaged() []byte {
	b := udpPacket("hello")
	b[len(b)-1] ^= 1
	return b
}

func TestRewriteIsRefused(t *testing.T) {
	whole := tlv(10, udpPacket("hello"))
	ofIPv6 := packetMessage(1, tlv(10, "6000000000003b40", make([]byte, 32)))
	copy(ofIPv6[28:], wire("86dd"))
	ospf := wire("4500001800000000405900 00 c0000201 c0000202 00000000")
	for name, c := range map[string]struct {
		message []byte
		v       nfqueue.Verdict
		want    error
	}{
		"of a packet that was cut":      {packetMessage(1, tlv(13, "000005dc"), whole), nfqueue.Accept().WithPayload(udpPacket("x")), nfqueue.ErrTruncated},
		"raw, of a packet that was cut": {packetMessage(1, tlv(13, "000005dc"), whole), nfqueue.Accept().WithRawPayload(udpPacket("x")), nfqueue.ErrTruncated},
		"without the packet's bytes":    {packetMessage(1), nfqueue.Accept().WithPayload(udpPacket("x")), nfqueue.ErrTruncated},
		"with nothing":                  {packetMessage(1, whole), nfqueue.Accept().WithPayload(nil), nfqueue.ErrPayload},
		"raw, with nothing":             {packetMessage(1, whole), nfqueue.Accept().WithRawPayload(nil), nfqueue.ErrPayload},
		"raw, with half a header":       {packetMessage(1, whole), nfqueue.Accept().WithRawPayload(udpPacket("x")[:19]), nfqueue.ErrPayload},
		"raw, with half of IPv6":        {ofIPv6, nfqueue.Accept().WithRawPayload(make([]byte, 39)), nfqueue.ErrPayload},
		"with too much":                 {packetMessage(1, whole), nfqueue.Accept().WithRawPayload(make([]byte, 65532)), nfqueue.ErrPayload},
		"with no IP":                    {packetMessage(1, whole), nfqueue.Accept().WithPayload(make([]byte, 20)), nfqueue.ErrNotIP},
		"with half a header":            {packetMessage(1, whole), nfqueue.Accept().WithPayload(udpPacket("x")[:15]), nfqueue.ErrBadHeader},
		"of a corrupt packet":           {packetMessage(1, tlv(14, "00000004"), tlv(10, damaged())), nfqueue.Accept().WithPayload(udpPacket("x")), nfqueue.ErrCorrupt},
		"of UDP GSO, longer":            {gso("03"), nfqueue.Accept().WithPayload(udpPacket("longer")), nfqueue.ErrGSO},
		"of UDP GSO, at input":          {gso("01"), nfqueue.Accept().WithPayload(udpPacket("HELLO")), nfqueue.ErrGSO},
		"of UDP GSO, at prerouting":     {gso("00"), nfqueue.Accept().WithPayload(udpPacket("HELLO")), nfqueue.ErrGSO},
		"with a checksum left pending":  {packetMessage(1, tlv(14, "00000001"), whole), nfqueue.Accept().WithPayload(ospf), nfqueue.ErrTunnel},
		"of a VLAN tag outside bridges": {packetMessage(1, whole), nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}), nfqueue.ErrNotBridge},
		"of a VLAN tag into none":       {bridged(), nfqueue.Accept().WithVLAN(attr.VLAN{}), nfqueue.ErrPayload},
		"of a link header outside":      {packetMessage(1, whole), nfqueue.Accept().WithLinkHeader(make([]byte, 14)), nfqueue.ErrNotBridge},
		"of a link header, longer":      {bridged(), nfqueue.Accept().WithLinkHeader(make([]byte, 15)), nfqueue.ErrPayload},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.v.WithMark(7).Append([]byte("before"), decode(t, c.message))
			if !errors.Is(err, c.want) || string(b) != "before" {
				t.Errorf("got %v and %x, want %v", err, b, c.want)
			}
		})
	}
}

// gso returns a UDP GSO packet at a hook.
func gso(hook string) []byte {
	m := packetMessage(1, tlv(14, "00000003"), tlv(10, pendingPacket("hello")))
	copy(m[30:], wire(hook))
	return m
}

// bridged returns a packet of the bridge family, with a link header.
func bridged() []byte {
	m := packetMessage(1, tlv(20, make([]byte, 14)), tlv(10, udpPacket("hello")))
	m[16] = 7
	return m
}

func TestRewriteIsAllowed(t *testing.T) {
	arp := packetMessage(1, tlv(10, "0001080006040001"))
	copy(arp[28:], wire("0806"))
	for name, c := range map[string]struct {
		message []byte
		v       nfqueue.Verdict
	}{
		"raw, of a corrupt packet":          {packetMessage(1, tlv(14, "00000004"), tlv(10, damaged())), nfqueue.Accept().WithRawPayload(damaged())},
		"of a packet nobody verified":       {packetMessage(1, tlv(14, "00000004"), tlv(10, udpPacket("x"))), nfqueue.Accept().WithPayload(udpPacket("y"))},
		"of UDP GSO, as long":               {gso("03"), nfqueue.Accept().WithPayload(udpPacket("HELLO"))},
		"raw, of no IP":                     {arp, nfqueue.Accept().WithRawPayload([]byte("hello"))},
		"to another length":                 {packetMessage(1, tlv(10, udpPacket("x"))), nfqueue.Accept().WithPayload(udpPacket("longer"))},
		"with a pending checksum, finished": {packetMessage(1, tlv(14, "00000001"), tlv(10, pendingPacket("x"))), nfqueue.Accept().WithPayload(udpPacket("y"))},
		"as long as can be":                 {packetMessage(1, tlv(10, udpPacket("x"))), nfqueue.Accept().WithRawPayload(make([]byte, 65531))},
		"of a bridge's link layer":          {bridged(), nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100, TCI: 5}).WithLinkHeader(make([]byte, 14))},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.v.Append(nil, decode(t, c.message)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUDPGSOPacketGetsThePseudoHeadersSum(t *testing.T) {
	want := udpPacket("HELLO")
	b, err := nfqueue.Accept().WithPayload(want).Append(nil, decode(t, gso("03")))
	if err != nil {
		t.Fatal(err)
	}
	// c000+0201 + c000+0202 + protocol 17 + length 13, folded
	got := payloadOf(parse(t, b))
	if sum := got[26:28]; !bytes.Equal(sum, wire("8422")) {
		t.Errorf("checksum field %x", sum)
	}
}
