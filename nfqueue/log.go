package nfqueue

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/nfpacket/nfpacket/nfnl"
)

// This file shows packets and verdicts to people.

// String describes p in a line, for example
// "packet 12 of queue 7: ip input, in 2, tcp 192.0.2.1:40000 > 192.0.2.2:80, 60 bytes".
func (p *Packet) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "packet %d of queue %d: %v %s", p.ID, p.Queue, p.Family, p.Hook.Name(p.Family))
	for _, d := range p.devices() {
		if d.index != 0 {
			fmt.Fprintf(&s, ", %s %d", d.name, d.index)
		}
	}
	if f, ok := nfnl.ParseFlow(p.Payload); ok {
		fmt.Fprintf(&s, ", %v", f)
	} else {
		fmt.Fprintf(&s, ", EtherType %#04x", p.Proto)
	}
	if p.Len > 0 {
		fmt.Fprintf(&s, ", %d bytes", p.Len)
	}
	if p.Mark != 0 {
		fmt.Fprintf(&s, ", mark %#x", p.Mark)
	}
	return s.String()
}

// LogValue implements slog.LogValuer with a group: id, queue, family, hook, the
// interfaces that are known, proto, src and dst if there is an IP header, len,
// and the mark if there is one.
func (p *Packet) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 13)
	attrs = append(attrs,
		slog.Uint64("id", uint64(p.ID)),
		slog.Int("queue", int(p.Queue)),
		slog.String("family", p.Family.String()),
		slog.String("hook", p.Hook.Name(p.Family)))
	for _, d := range p.devices() {
		if d.index != 0 {
			attrs = append(attrs, slog.Int(d.name, d.index))
		}
	}
	if f, ok := nfnl.ParseFlow(p.Payload); ok {
		attrs = append(attrs, slog.String("proto", f.ProtocolName()), address("src", f.Src), address("dst", f.Dst))
	} else {
		attrs = append(attrs, slog.String("ethertype", fmt.Sprintf("%#04x", p.Proto)))
	}
	attrs = append(attrs, slog.Int("len", p.Len))
	if p.Mark != 0 {
		attrs = append(attrs, slog.Uint64("mark", uint64(p.Mark)))
	}
	return slog.GroupValue(attrs...)
}

// address returns an attribute with a, without a port of 0.
func address(name string, a netip.AddrPort) slog.Attr {
	if a.Port() == 0 {
		return slog.Any(name, a.Addr())
	}
	return slog.Any(name, a)
}

// A device is an interface of a packet, and what it is to it.
type device struct {
	name  string
	index int
}

// devices returns the interfaces of p; index 0 is none.
func (p *Packet) devices() [4]device {
	return [4]device{{"in", p.InDev}, {"out", p.OutDev}, {"physin", p.PhysInDev}, {"physout", p.PhysOutDev}}
}

// String describes v in a few words, for example "accept, mark 0x7".
func (v Verdict) String() string {
	var s strings.Builder
	action := v.action
	if action == ActionHold && v.then != ActionHold {
		action = v.then
		fmt.Fprintf(&s, "hold for %v, then ", max(v.hold, 0))
	}
	s.WriteString(action.String())
	if action == ActionRequeue {
		fmt.Fprintf(&s, " to %d", v.queue)
		if v.bypass {
			s.WriteString(" or accept")
		}
	}
	if v.has(changeMark) {
		fmt.Fprintf(&s, ", mark %#x", v.mark)
	}
	if v.has(changePriority) {
		fmt.Fprintf(&s, ", priority %#x", v.priority)
	}
	if v.has(changeConntrack) {
		s.WriteString(", conntrack")
	}
	if v.has(changeVLAN) {
		fmt.Fprintf(&s, ", VLAN %v", v.vlan)
	}
	if b, ok := v.LinkHeader(); ok {
		fmt.Fprintf(&s, ", link header of %d bytes", len(b))
	}
	if b, ok := v.Payload(); ok {
		fmt.Fprintf(&s, ", payload of %d bytes", len(b))
	}
	return s.String()
}

// LogValue implements slog.LogValuer with v's String.
func (v Verdict) LogValue() slog.Value { return slog.StringValue(v.String()) }
