package nfqueue

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file shows packets and verdicts to people.

// String describes p in a line, for example
// "packet 12 of queue 7: ip input, in 2, tcp 192.0.2.1:40000 > 192.0.2.2:80, 60 bytes".
func (p *Packet) String() string { return p.Named(nil).String() }

// LogValue implements slog.LogValuer with a group: id, queue, time if the kernel
// took it, and what nfnl.Summary.Append says. It does not have the payload, but
// its length.
func (p *Packet) LogValue() slog.Value { return p.Named(nil).LogValue() }

// MarshalJSON implements json.Marshaler with an object of what LogValue has.
func (p *Packet) MarshalJSON() ([]byte, error) { return p.Named(nil).MarshalJSON() }

// Named returns p to be shown with the names of its interfaces in place of their
// indexes; names is what Queue.Links returns.
//
//	slog.Info("dropped", "packet", p.Named(links))
func (p *Packet) Named(names nfnl.Names) Named { return Named{p, names} }

// A Named is a Packet with names for its interfaces. It is shown as the Packet
// is, and valid as long as that.
type Named struct {
	p     *Packet
	names nfnl.Names
}

// String is Packet.String with names.
func (n Named) String() string {
	return fmt.Sprintf("packet %d of queue %d: %v", n.p.ID, n.p.Queue, n.summary())
}

// LogValue is Packet.LogValue with names.
func (n Named) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 17)
	attrs = append(attrs, slog.Uint64("id", uint64(n.p.ID)), slog.Int("queue", int(n.p.Queue)))
	if !n.p.Time.IsZero() {
		attrs = append(attrs, slog.Time("time", n.p.Time))
	}
	return slog.GroupValue(n.summary().Append(attrs)...)
}

// MarshalJSON is Packet.MarshalJSON with names.
func (n Named) MarshalJSON() ([]byte, error) { return nfnl.MarshalGroup(n.LogValue()) }

// summary returns what a queued packet has in common with a logged one.
func (n Named) summary() *nfnl.Summary {
	p := n.p
	return &nfnl.Summary{
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
	if v.expires() {
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

// expires reports whether v is HoldFor.
func (v *Verdict) expires() bool { return v.action == ActionHold && v.then != ActionHold }

// LogValue implements slog.LogValuer with v's String.
func (v Verdict) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalJSON implements json.Marshaler with an object: action, and of what
// there is for and then (HoldFor), queue and bypass, mark, priority, conntrack,
// vlan, link_header and payload. Of the last two it has the length in bytes.
func (v Verdict) MarshalJSON() ([]byte, error) { return nfnl.MarshalGroup(v.group()) }

// group returns v in its parts.
func (v *Verdict) group() slog.Value {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("action", v.action.String()))
	if v.expires() {
		attrs = append(attrs, slog.String("for", max(v.hold, 0).String()), slog.String("then", v.then.String()))
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
	return slog.GroupValue(attrs...)
}

// conntrackAttr returns a group of what v changes on the connection: mark and
// mask, the labels that it sets, timeout.
func (v *Verdict) conntrackAttr() slog.Attr {
	var attrs []slog.Attr
	if v.has(changeConntrackMark) {
		attrs = append(attrs, slog.Uint64("mark", uint64(v.conntrack.mark)), slog.Uint64("mask", uint64(v.conntrack.markMask)))
	}
	if v.has(changeConntrackLabels) {
		attrs = append(attrs, slog.Any("labels", setLabels(v.conntrack.labels)))
	}
	if v.has(changeConntrackTimeout) {
		attrs = append(attrs, slog.String("timeout", v.conntrack.timeout.String()))
	}
	return slog.Attr{Key: "conntrack", Value: slog.GroupValue(attrs...)}
}

// setLabels returns the numbers in l.
func setLabels(l attr.ConntrackLabels) []int {
	numbers := []int{}
	for i := range 8 * len(l) {
		if l.Has(i) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}
