package nfqueue_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// fromLinux is a datagram of a 6.18 kernel: 31 bytes at the loopback device's
// prerouting, of queue 5. The last attribute has no padding.
func fromLinux() []byte {
	return wire(header(107, 0x0300, 0, 0, "02"),
		tlv(1, "00000001 0800 00"), "00",
		tlv(5, "00000001"), tlv(3, "0000beef"), tlv(9, "0006 0000 000000000000 0000"), tlv(14, "00000001"),
		tlv(10, "4500001f", make([]byte, 27)))
}

func TestCapturedPacketIsDecoded(t *testing.T) {
	p := decode(t, fromLinux())
	if p.ID != 1 || p.Queue != 5 || p.Proto != 0x0800 || p.Family != nfnl.IPv4 || p.Hook != nfnl.Prerouting {
		t.Errorf("got %v", p)
	}
	if p.InDev != 1 || p.Mark != 0xbeef || p.HardwareAddr.String() != "00:00:00:00:00:00" {
		t.Errorf("in %d, mark %#x, from %v", p.InDev, p.Mark, p.HardwareAddr)
	}
	if !p.ChecksumPending || p.GSO || p.ChecksumUnverified || p.Truncated() {
		t.Errorf("pending %v, GSO %v, unverified %v, truncated %v", p.ChecksumPending, p.GSO, p.ChecksumUnverified, p.Truncated())
	}
	if want := wire("4500001f", make([]byte, 27)); !bytes.Equal(p.Payload, want) || p.Len != 31 {
		t.Errorf("payload %x of %d bytes", p.Payload, p.Len)
	}
}

// bare is the packet that a message with nothing but a header delivers.
var bare = *mustDecode(packetMessage(9))

func mustDecode(message []byte) *nfqueue.Packet {
	m, _, err := nfnl.Next(message)
	p := new(nfqueue.Packet)
	if err = errors.Join(err, p.Decode(m)); err != nil {
		panic(err)
	}
	return p
}

func TestEachAttributeHasItsField(t *testing.T) {
	for name, c := range map[string]struct {
		attr []byte
		want func(*nfqueue.Packet)
	}{
		"mark":             {tlv(3, "00000001"), func(p *nfqueue.Packet) { p.Mark = 1 }},
		"time":             {tlv(4, "0000000000000005 0000000000000007"), func(p *nfqueue.Packet) { p.Time = time.Unix(5, 7000) }},
		"input device":     {tlv(5, "00000002"), func(p *nfqueue.Packet) { p.InDev = 2 }},
		"output device":    {tlv(6, "00000003"), func(p *nfqueue.Packet) { p.OutDev = 3 }},
		"input port":       {tlv(7, "00000004"), func(p *nfqueue.Packet) { p.PhysInDev = 4 }},
		"output port":      {tlv(8, "00000005"), func(p *nfqueue.Packet) { p.PhysOutDev = 5 }},
		"sender":           {tlv(9, "0006 ffff 020000000001 ffff"), func(p *nfqueue.Packet) { p.HardwareAddr = net.HardwareAddr{2, 0, 0, 0, 0, 1} }},
		"payload":          {tlv(10, "4500"), func(p *nfqueue.Packet) { p.Payload, p.Len = wire("4500"), 2 }},
		"length":           {tlv(13, "000005dc"), func(p *nfqueue.Packet) { p.Len = 1500 }},
		"pending checksum": {tlv(14, "00000001"), func(p *nfqueue.Packet) { p.ChecksumPending = true }},
		"GSO":              {tlv(14, "00000002"), func(p *nfqueue.Packet) { p.GSO = true }},
		"unknown checksum": {tlv(14, "00000004"), func(p *nfqueue.Packet) { p.ChecksumUnverified = true }},
		"unknown bit":      {tlv(14, "00000008"), func(*nfqueue.Packet) {}},
		"user":             {tlv(16, "000003e8"), func(p *nfqueue.Packet) { p.UID, p.HasOwner = 1000, true }},
		"root":             {tlv(16, "00000000"), func(p *nfqueue.Packet) { p.HasOwner = true }},
		"user's group":     {tlv(17, "00000064"), func(p *nfqueue.Packet) { p.GID = 100 }},
		"security context": {tlv(18, "6100"), func(p *nfqueue.Packet) { p.SecurityContext = []byte("a\x00") }},
		"VLAN":             {tlv(0x8013, tlv(1, "8100"), "0000", tlv(2, "602a"), "0000"), func(p *nfqueue.Packet) { p.VLAN = attr.VLAN{Protocol: 0x8100, TCI: 0x602a} }},
		"link header":      {tlv(20, "0200000000010200000000020800"), func(p *nfqueue.Packet) { p.LinkHeader = wire("0200000000010200000000020800") }},
		"priority":         {tlv(21, "00000006"), func(p *nfqueue.Packet) { p.Priority = 6 }},
		"class":            {tlv(22, "00100001"), func(p *nfqueue.Packet) { p.ClassID = 0x100001 }},
		"unknown":          {tlv(99, "00"), func(*nfqueue.Packet) {}},
		"unknown verdict":  {tlv(2, "0000000000000001"), func(*nfqueue.Packet) {}},
	} {
		t.Run(name, func(t *testing.T) {
			want := bare
			c.want(&want)
			if got := decode(t, packetMessage(9, c.attr)); fmt.Sprintf("%+v", plain(*got)) != fmt.Sprintf("%+v", plain(want)) {
				t.Errorf("got  %+v\nwant %+v", plain(*got), plain(want))
			}
		})
	}
}

// plain has the fields of a Packet without its methods, so that all are printed.
type plain nfqueue.Packet

func TestPayloadOfEveryLength(t *testing.T) {
	for n := range 9 {
		payload := bytes.Repeat([]byte{0x45}, n)
		message := packetMessage(9, tlv(3, "00000001"), tlv(10, payload))
		unpadded := message[:len(message)-(4-n%4)%4]
		copy(unpadded, wire(uint32(len(unpadded))))
		for name, b := range map[string][]byte{"padded": message, "unpadded": unpadded} {
			p := decode(t, b)
			if !bytes.Equal(p.Payload, payload) || p.Len != n || p.Mark != 1 {
				t.Errorf("%s: %d bytes came as %x of %d", name, n, p.Payload, p.Len)
			}
		}
	}
}

func TestPacketThatWasCut(t *testing.T) {
	p := decode(t, packetMessage(9, tlv(13, "00010000"), tlv(10, "45000000")))
	if !p.Truncated() || p.Len != 65536 || len(p.Payload) != 4 {
		t.Errorf("truncated %v, %d bytes of %d", p.Truncated(), len(p.Payload), p.Len)
	}
}

func TestFamiliesAreTakenAsTheyCome(t *testing.T) {
	for _, family := range []byte{1, 3, 5, 7, 10, 99} {
		message := packetMessage(9)
		message[16] = family
		if p := decode(t, message); p.Family != nfnl.Family(family) || p.ID != 9 {
			t.Errorf("family %d came as %v", family, p)
		}
	}
}

func TestMalformedPacketTellsItsIDIfItCan(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		id      uint32
		err     error
	}{
		"short mark":                 {packetMessage(9, tlv(3, "0000")), 9, attr.ErrMalformed},
		"short VLAN":                 {packetMessage(9, tlv(19, tlv(1, "81"))), 9, attr.ErrMalformed},
		"attribute beyond the end":   {packetMessage(9, wire(uint16(40), uint16(10), "4500")), 9, attr.ErrMalformed},
		"attribute of 3 bytes":       {packetMessage(9, wire(uint16(3), uint16(10))), 9, attr.ErrMalformed},
		"short header":               {wire(uint32(28), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02000007", tlv(1, "00000009")), 0, attr.ErrMalformed},
		"no header":                  {wire(uint32(28), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02000007", tlv(3, "00000009")), 0, nfnl.ErrMalformed},
		"nothing":                    {wire(uint32(20), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02000007"), 0, nfnl.ErrMalformed},
		"hardware address, too long": {packetMessage(9, tlv(9, "fffc0000 0102030405060708")), 9, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var p nfqueue.Packet
			if err := p.Decode(parse(t, c.message)); !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
			if p.ID != c.id {
				t.Errorf("ID %d, want %d", p.ID, c.id)
			}
		})
	}
}

func TestDecodeForgetsThePacketBefore(t *testing.T) {
	p := decode(t, fromLinux())
	if err := p.Decode(parse(t, packetMessage(9))); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*p, bare) {
		t.Errorf("got %+v", plain(*p))
	}
}

func TestAppendToAFieldLeavesTheNextAlone(t *testing.T) {
	message := packetMessage(9, tlv(20, "01020304"), tlv(18, "05060708"), tlv(10, "45000000"))
	p, before := decode(t, message), bytes.Clone(message)
	_ = append(p.LinkHeader, 0xff)
	_ = append(p.SecurityContext, 0xff)
	_ = append(p.Payload, 0xff)
	if !bytes.Equal(message, before) {
		t.Errorf("appending wrote into the message: %x", message)
	}
}

func TestCloneSharesNoMemory(t *testing.T) {
	message := packetMessage(9, tlv(9, "0006 0000 020000000001 0000"), tlv(11, tlv(8, "00000001")),
		tlv(18, "61"), tlv(20, "0102"), tlv(10, "4500"))
	c := decode(t, bytes.Clone(message))
	p := decode(t, message)
	clone := p.Clone()
	clear(message)
	if !reflect.DeepEqual(clone, c) {
		t.Errorf("the clone became %+v", plain(*clone))
	}
}
