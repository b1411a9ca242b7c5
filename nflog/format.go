package nflog

import (
	"fmt"
	"log/slog"

	"github.com/nfpacket/nfpacket/internal/format"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file shows packets to people.

// String describes p in a line, for example
// `packet 12 of group 5, "in ": ip input, in 2, tcp 192.0.2.1:40000 > 192.0.2.2:80, 60 bytes`.
func (p Packet) String() string { return p.Named(nil).String() }

// LogValue implements slog.LogValuer with a group: group, seq, time if the kernel
// took it and else received, prefix if there is one, family, hook, the names of
// interfaces that are known (in, out, physin, physout), their indexes (in_index and
// so on), vlan, proto, src and dst, or ethertype in their place, len, mark, uid and
// gid. A key is left out if its value is not known. The payload is not in it. Order
// packets of a group by seq, or those of several by Packet.GlobalSeq: the two times are of
// different moments, and a packet is received up to Config.FlushTimeout after it was
// logged.
func (p Packet) LogValue() slog.Value { return p.Named(nil).LogValue() }

// MarshalJSON implements json.Marshaler with an object of what LogValue has.
func (p Packet) MarshalJSON() ([]byte, error) { return p.Named(nil).MarshalJSON() }

// Named returns p to be shown with the names of its interfaces; names is what
// Reader.Links returns.
//
//	slog.Info("logged", "packet", p.Named(links))
func (p *Packet) Named(names interface{ Name(index int) string }) Named { return Named{p, names} }

// A Named is a Packet with names for its interfaces. It formats like the Packet, and
// is valid as long as the Packet is. The zero Named formats like the zero Packet.
type Named struct {
	p     *Packet
	names format.Names
}

// packet returns the packet, the zero one if there is none.
func (n Named) packet() *Packet {
	if n.p == nil {
		return &Packet{}
	}
	return n.p
}

// String is Packet.String with names.
func (n Named) String() string {
	p := n.packet()
	prefix := ""
	if len(p.Prefix) > 0 {
		prefix = fmt.Sprintf(", %q", p.Prefix)
	}
	return fmt.Sprintf("packet %d of group %d%s: %v", p.Seq, p.Group, prefix, n.summary())
}

// LogValue is Packet.LogValue with names.
func (n Named) LogValue() slog.Value {
	p := n.packet()
	attrs := make([]slog.Attr, 0, 22)
	attrs = append(attrs, slog.Int("group", int(p.Group)), slog.Uint64("seq", uint64(p.Seq)))
	switch {
	case p.Time.IsZero():
	case p.ReceiptTime:
		attrs = append(attrs, slog.Time("received", p.Time))
	default:
		attrs = append(attrs, slog.Time("time", p.Time))
	}
	if len(p.Prefix) > 0 {
		attrs = append(attrs, slog.String("prefix", string(p.Prefix)))
	}
	return slog.GroupValue(n.summary().Append(attrs)...)
}

// MarshalJSON is Packet.MarshalJSON with names.
func (n Named) MarshalJSON() ([]byte, error) { return format.MarshalGroup(n.LogValue()) }

// summary returns what a logged packet has in common with a queued one.
func (n Named) summary() *format.Summary {
	p := n.packet()
	return &format.Summary{
		Family: p.Family, Hook: p.Hook, Names: n.names,
		InDev: p.InDev, OutDev: p.OutDev, PhysInDev: p.PhysInDev, PhysOutDev: p.PhysOutDev,
		Proto: p.Proto, Payload: p.network(), VLAN: p.VLAN, Mark: p.Mark,
		HasOwner: p.HasOwner, UID: p.UID, GID: p.GID,
	}
}

// network returns p's payload from the network header on.
func (p *Packet) network() []byte {
	if p.Hook == nfnl.Egress {
		return p.Payload[min(len(p.LinkHeader), len(p.Payload)):]
	}
	return p.Payload
}
