package nfqueuetest

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/hooks"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// appendPacket appends the message that delivers p, its attributes in the
// order of nfqnl_build_packet_message.
func (s settings) appendPacket(b []byte, p nfqueue.Packet) []byte {
	p.Len = max(p.Len, len(p.Payload))
	guessFamily(&p)
	start := len(b)
	b = engine.Begin(b, &engine.Message{Type: typePacket, Family: p.Family, Resource: p.Queue})
	header := binary.BigEndian.AppendUint32(nil, p.ID)
	header = binary.BigEndian.AppendUint16(header, p.Proto)
	b = attr.AppendBytes(b, attrPacketHeader, append(header, hooks.Number(p.Family, p.Hook)))
	b = appendDevices(b, p)
	b = appendNumber(b, attrMark, p.Mark)
	b = appendNumber(b, attrPriority, p.Priority)
	if p.HardwareAddr != nil {
		b = nlattr.AppendHardwareAddr(b, attrHardwareAddr, p.HardwareAddr)
	}
	if p.VLAN != (attr.VLAN{}) {
		b = attr.AppendVLAN(b, attrVLAN, p.VLAN)
	}
	if p.LinkHeader != nil {
		b = attr.AppendBytes(b, attrLinkHeader, p.LinkHeader)
	}
	if !p.Time.IsZero() {
		b = nlattr.AppendTime(b, attrTimestamp, p.Time)
	}
	b = s.appendOwner(b, p)
	return s.appendPayload(b, start, p)
}

// guessFamily sets Proto and Family to what the payload is, if they are not set.
func guessFamily(p *nfqueue.Packet) {
	proto, family := uint16(0), engine.Unspec
	if len(p.Payload) > 0 {
		switch p.Payload[0] >> 4 {
		case 4:
			proto, family = 0x0800, nfnl.IPv4
		case 6:
			proto, family = 0x86dd, nfnl.IPv6
		}
	}
	if p.Proto == 0 {
		p.Proto = proto
	}
	if p.Family == engine.Unspec {
		p.Family = family
	}
}

// appendDevices appends the interfaces that there are.
func appendDevices(b []byte, p nfqueue.Packet) []byte {
	b = appendNumber(b, attrInDev, uint32(p.InDev))
	b = appendNumber(b, attrPhysInDev, uint32(p.PhysInDev))
	b = appendNumber(b, attrOutDev, uint32(p.OutDev))
	return appendNumber(b, attrPhysOutDev, uint32(p.PhysOutDev))
}

// appendNumber appends a number that the kernel leaves out if it is 0.
func appendNumber(b []byte, typ uint16, v uint32) []byte {
	if v == 0 {
		return b
	}
	return attr.AppendUint32(b, typ, v)
}

// appendOwner appends what is known of the socket, as far as the flags ask.
func (s settings) appendOwner(b []byte, p nfqueue.Packet) []byte {
	if p.HasOwner && s.flags&flagOwner != 0 {
		b = attr.AppendUint32(b, attrUID, p.UID)
		b = attr.AppendUint32(b, attrGID, p.GID)
	}
	b = appendNumber(b, attrClassID, p.ClassID)
	if len(p.SecurityContext) > 0 && s.flags&flagSecurity != 0 {
		b = attr.AppendBytes(b, attrSecurity, p.SecurityContext)
	}
	return b
}

// appendPayload appends the packet's bytes and what goes with them, and ends the
// message that starts at b[start:]. It has no padding at its end.
func (s settings) appendPayload(b []byte, start int, p nfqueue.Packet) []byte {
	payload := p.Payload[:min(len(p.Payload), int(s.copyRange))]
	if s.mode == copyPacket && p.Len > len(payload) {
		b = attr.AppendUint32(b, attrFullLen, uint32(p.Len))
	}
	b = appendNumber(b, attrSkbInfo, skbInfo(p))
	if len(payload) > 0 {
		b = attr.AppendBytes(b, attrPayload, payload)
		b = b[:len(b)-(4-len(payload)%4)%4]
	}
	end := len(b)
	return engine.End(b, start)[:end]
}

// skbInfo returns the bits of NFQA_SKB_INFO.
func skbInfo(p nfqueue.Packet) uint32 {
	var bits uint32
	if p.ChecksumPending {
		bits |= 1 << 0 // NFQA_SKB_CSUMNOTREADY
	}
	if p.GSO {
		bits |= 1 << 1 // NFQA_SKB_GSO
	}
	if p.ChecksumUnverified {
		bits |= 1 << 2 // NFQA_SKB_CSUM_NOTVERIFIED
	}
	return bits
}
