// Package layers decodes queued and logged packets with gopacket.
package layers

import (
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A Parser decodes packets into its own fields, without allocation. It is for one
// goroutine: a handler's, say. What it decoded is valid until it decodes again,
// and no longer than the packet.
type Parser struct {
	IPv4    layers.IPv4
	IPv6    layers.IPv6
	ARP     layers.ARP
	TCP     layers.TCP
	UDP     layers.UDP
	ICMPv4  layers.ICMPv4
	ICMPv6  layers.ICMPv6
	Payload gopacket.Payload // what the transport protocol carries

	byProto map[uint16]*gopacket.DecodingLayerParser
	decoded []gopacket.LayerType
}

// NewParser returns a Parser. More layers than it has can be added; those are found
// by the ports they are known by, as DNS is.
func NewParser(more ...gopacket.DecodingLayer) *Parser {
	p := &Parser{decoded: make([]gopacket.LayerType, 0, 8)}
	all := append(more, &p.IPv4, &p.IPv6, &p.ARP, &p.TCP, &p.UDP, &p.ICMPv4, &p.ICMPv6, &p.Payload)
	p.byProto = map[uint16]*gopacket.DecodingLayerParser{}
	for proto, first := range map[layers.EthernetType]gopacket.LayerType{
		layers.EthernetTypeIPv4: layers.LayerTypeIPv4,
		layers.EthernetTypeIPv6: layers.LayerTypeIPv6,
		layers.EthernetTypeARP:  layers.LayerTypeARP,
	} {
		parser := gopacket.NewDecodingLayerParser(first, all...)
		parser.IgnoreUnsupported = true // the payload of a protocol that is not there is not an error
		p.byProto[uint16(proto)] = parser
	}
	return p
}

// Decode decodes a packet from its network header on: proto and payload are fields
// of nfqueue.Packet and nflog.Packet. It returns the layers found, outermost first,
// also with an error, which is about the next one. The slice is used again.
func (p *Parser) Decode(proto uint16, payload []byte) ([]gopacket.LayerType, error) {
	p.decoded = p.decoded[:0]
	parser, ok := p.byProto[proto]
	if !ok {
		return nil, gopacket.UnsupportedLayerType(layers.EthernetType(proto).LayerType())
	}
	err := parser.DecodeLayers(payload, &p.decoded)
	return p.decoded, err
}
