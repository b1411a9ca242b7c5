package nfqueue

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/format"
)

// This file formats packets and verdicts.

// String describes p in one line, for example "packet 12 of queue 7: ip input, in 2,
// tcp 192.0.2.1:40000 > 192.0.2.2:80, 60 bytes".
func (p Packet) String() string { return p.Named(nil).String() }

// LogValue implements slog.LogValuer with a group that has the keys id, queue, time (if
// the kernel took a timestamp), family, hook, in_index, out_index, physin_index,
// physout_index, vlan, proto, src and dst (or ethertype, if there is no IP header),
// len, mark, uid and gid. A value that is not known is left out, and so is a mark of 0.
// The payload is not in the group. Named adds the names of interfaces.
func (p Packet) LogValue() slog.Value { return p.Named(nil).LogValue() }

// MarshalJSON implements json.Marshaler with an object that has the keys of LogValue.
func (p Packet) MarshalJSON() ([]byte, error) { return p.Named(nil).MarshalJSON() }

// Named returns p with names for its interfaces, to be formatted or logged. names is
// usually the result of Queue.Links.
//
//	slog.Info("dropped", "packet", p.Named(links))
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
	return fmt.Sprintf("packet %d of queue %d: %v", p.ID, p.Queue, n.summary())
}

// LogValue is like Packet.LogValue, with the names of interfaces in additional keys:
// in, out, physin and physout.
func (n Named) LogValue() slog.Value {
	p := n.packet()
	attrs := make([]slog.Attr, 0, 21)
	attrs = append(attrs, slog.Uint64("id", uint64(p.ID)), slog.Int("queue", int(p.Queue)))
	if !p.Time.IsZero() {
		attrs = append(attrs, slog.Time("time", p.Time))
	}
	return slog.GroupValue(n.summary().Append(attrs)...)
}

// MarshalJSON implements json.Marshaler with an object that has the keys of
// Named.LogValue.
func (n Named) MarshalJSON() ([]byte, error) { return format.MarshalGroup(n.LogValue()) }

// summary returns what a queued packet has in common with a logged one.
func (n Named) summary() *format.Summary {
	p := n.packet()
	return &format.Summary{
		Family: p.Family, Hook: p.Hook, Names: n.names,
		InDev: p.InDev, OutDev: p.OutDev, PhysInDev: p.PhysInDev, PhysOutDev: p.PhysOutDev,
		Proto: p.Proto, Payload: p.Payload, Len: p.Len, VLAN: p.VLAN, Mark: p.Mark,
		HasOwner: p.HasOwner, UID: p.UID, GID: p.GID,
	}
}

// String describes v in a few words, for example "accept, mark 0x7".
func (v Verdict) String() string {
	var s strings.Builder
	action := v.action
	if v.unusable() {
		return fmt.Sprintf("%v: %v", action, ErrHoldFallback)
	}
	if v.expires() {
		action = v.then
		fmt.Fprintf(&s, "hold for %v, then ", v.hold)
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
	v.writeConntrack(&s)
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

// writeConntrack writes what v changes on the connection, in nft's words.
func (v *Verdict) writeConntrack(s *strings.Builder) {
	c := &v.conntrack
	if v.has(changeConntrackMark) {
		fmt.Fprintf(s, ", ct mark %#x", c.mark&c.markMask)
		if c.markMask != 0xffffffff {
			fmt.Fprintf(s, "/%#x", c.markMask)
		}
	}
	if v.has(changeConntrackLabels) {
		fmt.Fprintf(s, ", ct labels %d", setLabels(c.labels, c.labelsMask))
		if c.labelsMask != attr.AllLabels() {
			fmt.Fprintf(s, " of %d", setLabels(c.labelsMask, attr.AllLabels()))
		}
	}
	if v.has(changeConntrackTimeout) {
		fmt.Fprintf(s, ", ct timeout %v", c.timeout)
	}
	if v.has(changeConntrackStatus) {
		fmt.Fprintf(s, ", ct status %v", c.status)
	}
	if e, ok := v.Expectation(); ok {
		fmt.Fprintf(s, ", ct expectation %v", e.Tuple)
	}
}

// expires reports whether v is a HoldFor that can be used.
func (v *Verdict) expires() bool {
	return v.action == ActionHold && v.then != ActionHold && !v.unusable()
}

// LogValue implements slog.LogValuer with a group that has the key "action" and the
// keys of what is set: "for" and "then" (duration and fallback of HoldFor), "queue" and
// "bypass" (of Requeue), "mark", "priority", "conntrack", "vlan", and "link_header" and
// "payload" (their lengths in bytes). "conntrack" is a group that may have "mark",
// "mask", "labels", "labels_mask", "timeout", "status" and "expectation"; a mask of all
// bits is left out. If the fallback of HoldFor is invalid, the group has only "action"
// and "error".
func (v Verdict) LogValue() slog.Value { return slog.GroupValue(v.attrs()...) }

// MarshalJSON implements json.Marshaler with an object that has the keys of LogValue.
func (v Verdict) MarshalJSON() ([]byte, error) { return format.MarshalGroup(v.LogValue()) }

// attrs returns v in its parts.
func (v *Verdict) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("action", v.action.String()))
	if v.unusable() {
		return append(attrs, slog.String("error", ErrHoldFallback.Error()))
	}
	if v.expires() {
		attrs = append(attrs, slog.String("for", v.hold.String()), slog.String("then", v.then.String()))
	}
	if v.action == ActionRequeue || v.then == ActionRequeue {
		attrs = append(attrs, slog.Int("queue", int(v.queue)), slog.Bool("bypass", v.bypass))
	}
	if v.has(changeMark) {
		attrs = append(attrs, slog.Uint64("mark", uint64(v.mark)))
	}
	if v.has(changePriority) {
		attrs = append(attrs, slog.Uint64("priority", uint64(v.priority)))
	}
	if v.has(changeConntrack) {
		attrs = append(attrs, v.conntrackAttr())
	}
	if v.has(changeVLAN) {
		attrs = append(attrs, slog.String("vlan", v.vlan.String()))
	}
	if b, ok := v.LinkHeader(); ok {
		attrs = append(attrs, slog.Int("link_header", len(b)))
	}
	if b, ok := v.Payload(); ok {
		attrs = append(attrs, slog.Int("payload", len(b)))
	}
	return attrs
}

// conntrackAttr returns a group of what v changes on the connection. A mask is
// in it if it is not that of all bits.
func (v *Verdict) conntrackAttr() slog.Attr {
	var attrs []slog.Attr
	c := &v.conntrack
	if v.has(changeConntrackMark) {
		attrs = append(attrs, slog.Uint64("mark", uint64(c.mark&c.markMask)))
		if c.markMask != 0xffffffff {
			attrs = append(attrs, slog.Uint64("mask", uint64(c.markMask)))
		}
	}
	if v.has(changeConntrackLabels) {
		attrs = append(attrs, slog.Any("labels", setLabels(c.labels, c.labelsMask)))
		if c.labelsMask != attr.AllLabels() {
			attrs = append(attrs, slog.Any("labels_mask", setLabels(c.labelsMask, attr.AllLabels())))
		}
	}
	if v.has(changeConntrackTimeout) {
		attrs = append(attrs, slog.String("timeout", c.timeout.String()))
	}
	if v.has(changeConntrackStatus) {
		attrs = append(attrs, slog.String("status", c.status.String()))
	}
	if e, ok := v.Expectation(); ok {
		t := &e.Tuple
		attrs = append(attrs, slog.Group("expectation",
			slog.Int("proto", int(t.Protocol)), slog.String("src", t.Src.String()), slog.String("dst", t.Dst.String())))
	}
	return slog.Attr{Key: "conntrack", Value: slog.GroupValue(attrs...)}
}

// setLabels returns the numbers of those labels in mask that are set.
func setLabels(labels, mask attr.ConntrackLabels) []int {
	numbers := []int{}
	for i := range 8 * len(labels) {
		if labels.Has(i) && mask.Has(i) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}
