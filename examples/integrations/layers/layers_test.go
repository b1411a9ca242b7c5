package layers

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
)

// serialized returns a packet of these layers.
func serialized(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, all...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func query(t testing.TB) []byte {
	return serialized(t,
		&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{192, 0, 2, 2}},
		&layers.UDP{SrcPort: 40000, DstPort: 53},
		&layers.DNS{RD: true, Questions: []layers.DNSQuestion{{Name: []byte("example.com"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}})
}

func segment(t testing.TB) []byte {
	return serialized(t,
		&layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: make([]byte, 16), DstIP: make([]byte, 16)},
		&layers.TCP{SrcPort: 40000, DstPort: 80, SYN: true},
		gopacket.Payload("hello"))
}

func TestDecodeFindsTheLayersOfEachProtocol(t *testing.T) {
	dns := &layers.DNS{}
	p := NewParser(dns)
	got, err := p.Decode(0x0800, query(t))
	if want := []gopacket.LayerType{layers.LayerTypeIPv4, layers.LayerTypeUDP, layers.LayerTypeDNS}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if len(dns.Questions) != 1 || string(dns.Questions[0].Name) != "example.com" || p.UDP.DstPort != 53 {
		t.Errorf("the question is %v to port %v", dns.Questions, p.UDP.DstPort)
	}
	got, err = p.Decode(0x86dd, segment(t))
	if want := []gopacket.LayerType{layers.LayerTypeIPv6, layers.LayerTypeTCP, gopacket.LayerTypePayload}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if !p.TCP.SYN || string(p.Payload) != "hello" {
		t.Errorf("SYN %v, payload %q", p.TCP.SYN, p.Payload)
	}
}

// What cannot be decoded is an error, and does not show the packet before.
func TestDecodeOfGarbage(t *testing.T) {
	p := NewParser()
	for _, c := range []struct {
		proto uint16
		b     []byte
		found int
	}{
		{0x0800, nil, 0}, {0x0800, query(t)[:10], 0}, {0x0800, query(t)[:24], 1}, {0x1234, query(t), 0}, {0x86dd, query(t)[:30], 0},
	} {
		if _, err := p.Decode(0x0800, query(t)); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Decode(c.proto, c.b); err == nil || len(got) != c.found {
			t.Errorf("%d bytes of protocol %#x: %v, %v; want %d layers and an error", len(c.b), c.proto, got, err, c.found)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	p := NewParser()
	udp, tcp := query(t), segment(t)
	n := testing.AllocsPerRun(1000, func() {
		p.Decode(0x0800, udp)
		p.Decode(0x86dd, tcp)
	})
	if n != 0 {
		t.Errorf("%v allocations for two packets", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	p := NewParser()
	udp := query(b)
	for b.Loop() {
		p.Decode(0x0800, udp)
	}
}

// A PacketSource of gopacket gets every packet with what netfilter knows of it, and
// ends when the Reader is closed.
func TestPacketSourceReadsEveryPacket(t *testing.T) {
	r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
	k.Log(nflog.Packet{Prefix: []byte("a"), Payload: query(t)}, nflog.Packet{Prefix: []byte("b"), Payload: segment(t)})
	source := NewSource(t.Context(), r)
	defer source.Close()
	packets := gopacket.NewPacketSource(source, Network)
	var got []string
	for range 2 {
		p, err := packets.NextPacket()
		if err != nil {
			t.Fatal(err)
		}
		logged := p.Metadata().AncillaryData[0].(*nflog.Packet)
		got = append(got, string(logged.Prefix)+" "+p.TransportLayer().LayerType().String())
	}
	if s := strings.Join(got, ", "); s != "a UDP, b TCP" {
		t.Errorf("got %s", s)
	}
	r.Close()
	if _, err := packets.NextPacket(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v, want io.EOF", err)
	}
}

// Without a copy the data are the packet's, and of one that the kernel cut the
// length is that of the whole.
func TestZeroCopy(t *testing.T) {
	r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}, CopyRange: 30})
	whole := query(t)
	k.Log(nflog.Packet{Payload: whole, InDev: 3})
	source := NewSource(t.Context(), r)
	defer source.Close()
	data, info, err := source.ZeroCopyReadPacketData()
	if err != nil || !slices.Equal(data, whole[:30]) || info.CaptureLength != 30 || info.Length != len(whole) || info.InterfaceIndex != 3 {
		t.Errorf("got %d bytes, %+v, %v", len(data), info, err)
	}
}
