// Package pcapng writes queued and logged packets to capture files that
// Wireshark, tshark and tcpdump read. What pcapng has no field for, such as a
// verdict or the prefix of a rule, is in the comments of the packet.
package pcapng

import (
	"bytes"
	"fmt"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A Record is one packet as it goes to a file.
type Record struct {
	Time      time.Time
	Interface string // that it came in by, or else is to leave by; "any" if neither is known
	Direction Direction
	Data      []byte // begins with the link layer's header
	Length    int    // of Data before it was cut
	Comments  []string

	ID    uint64 // the kernel's number of the packet: ID or sequence number
	Queue uint32 // or log group
	Lost  uint64 // packets lost right before this one
}

// A Direction is that of a packet, as seen from its interface. The values are
// those of pcapng's epb_flags.
type Direction uint8

// The directions.
const (
	Unknown Direction = iota
	Inbound
	Outbound
)

// Names names interfaces by their index; *nfnl.Links is one.
type Names interface{ Name(index int) string }

// Queued returns the record of a queued packet. It copies what it keeps of p, so
// that a handler may edit p.Payload afterwards.
func Queued(p *nfqueue.Packet, names Names) Record {
	r := Record{
		Time: p.Time, Length: sll2Len + max(p.Len, len(p.Payload)),
		ID: uint64(p.ID), Queue: uint32(p.Queue),
	}
	if r.Time.IsZero() { // the kernel seldom takes it
		r.Time = time.Now()
	}
	index := r.at(p.Hook, p.InDev, p.OutDev, names)
	r.Data = appendSLL2(nil, sll2{proto: p.Proto, index: index, direction: r.Direction, addr: p.HardwareAddr})
	r.Data = append(r.Data, p.Payload...)
	r.Comments = []string{fmt.Sprintf("hook=%v", p.Hook)}
	if p.Mark != 0 {
		r.Comments = append(r.Comments, fmt.Sprintf("packet mark=%#x", p.Mark))
	}
	return r
}

// Decided adds the verdict on the packet to its comments, for example
// "verdict=drop mark=0x7". The verdict of a held packet is hold.
func (r *Record) Decided(v nfqueue.Verdict) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "verdict=%v", v.Action())
	if n, _ := v.Queue(); v.Action() == nfqueue.ActionRequeue {
		fmt.Fprintf(&b, " queue=%d", n)
	}
	if mark, ok := v.Mark(); ok {
		fmt.Fprintf(&b, " mark=%#x", mark)
	}
	if payload, ok := v.Payload(); ok {
		fmt.Fprintf(&b, " rewritten=%d", len(payload))
	}
	r.Comments = append(r.Comments, b.String())
}

// Logged returns the record of a logged packet. It copies what it keeps of p.
func Logged(p *nflog.Packet, names Names) Record {
	r := Record{Time: p.Time, ID: uint64(p.Seq), Queue: uint32(p.Group)}
	index := r.at(p.Hook, p.InDev, p.OutDev, names)
	r.Data = appendSLL2(nil, sll2{
		proto: p.Proto, index: index, hardware: p.HardwareType, direction: r.Direction, addr: p.HardwareAddr,
	})
	payload := networkPart(p)
	r.Data = append(r.Data, payload...)
	r.Length = len(r.Data)
	if flow, ok := nfnl.ParseFlow(payload); ok { // the kernel does not say how long it was
		r.Length = max(r.Length, sll2Len+flow.Length)
	}
	r.Comments = []string{fmt.Sprintf("hook=%v", p.Hook)}
	if len(p.Prefix) > 0 {
		r.Comments = append(r.Comments, fmt.Sprintf("prefix=%s", p.Prefix))
	}
	if p.HasOwner {
		r.Comments = append(r.Comments, fmt.Sprintf("uid=%d gid=%d", p.UID, p.GID))
	}
	return r
}

// networkPart returns the packet from its network header on: at two places the
// kernel logs a frame.
func networkPart(p *nflog.Packet) []byte {
	header := 0
	switch {
	case p.Hook == nfnl.Egress:
		header = len(p.LinkHeader)
	case p.Family == nfnl.ARP && p.Hook == nfnl.Output:
		header = ethernetLen
	}
	return p.Payload[min(header, len(p.Payload)):]
}

// ethernetLen is the length of an Ethernet header.
const ethernetLen = 14

// at sets the interface and the direction of a packet at a hook, and returns the
// interface's index.
func (r *Record) at(hook nfnl.Hook, in, out int, names Names) (index int) {
	switch hook {
	case nfnl.Output, nfnl.Postrouting, nfnl.Egress:
		r.Direction, index = Outbound, out
	default:
		r.Direction, index = Inbound, in
	}
	switch {
	case index == 0:
		r.Interface = "any"
	case names == nil || names.Name(index) == "":
		r.Interface = fmt.Sprintf("if%d", index)
	default:
		r.Interface = names.Name(index)
	}
	return index
}
