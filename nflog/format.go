package nflog

import (
	"fmt"
	"log/slog"

	"github.com/nfpacket/nfpacket/internal/format"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file formats packets.

// String describes p in one line, for example `packet 12 of group 5, "in ": ip input,
// in 2, tcp 192.0.2.1:40000 > 192.0.2.2:80, 60 bytes`.
func (p Packet) String() string { return p.Named(nil).String() }

// LogValue implements slog.LogValuer with a group that has the keys group, seq, time
// (or received, if ReceiptTime is set), prefix, family, hook, in_index, out_index,
// physin_index, physout_index, vlan, proto, src and dst (or ethertype, if there is no
// IP header), len, mark, uid and gid. A value that is not known is left out, and so are
// an empty prefix and a mark of 0. len is the length in the IP header, or len(Payload) if
// there is none. The payload is not in the group. Named adds the names of interfaces.
//
// Order packets of one group by seq, and those of several by Packet.GlobalSeq, not by
// "time" or "received": a packet is received up to Config.FlushTimeout after it was
// logged.
func (p Packet) LogValue() slog.Value { return p.Named(nil).LogValue() }

// MarshalJSON implements json.Marshaler with an object that has the keys of LogValue.
func (p Packet) MarshalJSON() ([]byte, error) { return p.Named(nil).MarshalJSON() }

// Named returns p with names for its interfaces, to be formatted or logged. names is
// usually the result of Reader.Links.
//
//	slog.Info("logged", "packet", p.Named(links))
func (p *Packet) Named(names interface{ Name(index int) string }) Named { return Named{p, names} }

// A Named is a Packet with names for its interfaces, for output. It is valid as long as
// the Packet is. The zero Named is formatted like the zero Packet.
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

// String is like Packet.String, with the names of interfaces instead of their indexes.
func (n Named) String() string {
	p := n.packet()
	prefix := ""
	if len(p.Prefix) > 0 {
		prefix = fmt.Sprintf(", %q", p.Prefix)
	}
	return fmt.Sprintf("packet %d of group %d%s: %v", p.Seq, p.Group, prefix, n.summary())
}

// LogValue is like Packet.LogValue, with the names of interfaces in additional keys:
// in, out, physin and physout.
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

// MarshalJSON implements json.Marshaler with an object that has the keys of
// Named.LogValue.
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
