package format

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Names has the name of the interface with an index, "" if there is none.
// nfnl.Links does.
type Names interface{ Name(index int) string }

// A Summary is what is formatted of a packet. What the packets of nfqueue
// and nflog show of themselves is made of it.
type Summary struct {
	Family nfnl.Family
	Hook   nfnl.Hook

	// The indexes of interfaces are shown with what Names says, and alone if it is
	// nil, or there is no such name. A name that could be taken for something else is
	// quoted: it may hold any byte, escape sequences for the terminal among them.
	// Index 0 is none.
	InDev, OutDev, PhysInDev, PhysOutDev int
	Names                                Names

	Proto   uint16 // EtherType of Payload; 0 is that of an IP header, if there is one
	Payload []byte

	// Len is the packet's length, in bytes. 0 is what the IP header says or else
	// the length of Payload; without one it is not known.
	Len int

	VLAN     attr.VLAN
	Mark     uint32 // 0 is none
	HasOwner bool
	UID, GID uint32
}

// String returns the summary in words, as in
// "ip input, in 2, tcp 192.0.2.1:40000 > 192.0.2.2:80, 60 bytes, mark 0x7".
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v", s.Family, s.Hook)
	for _, d := range s.devices() {
		switch {
		case d.name != "":
			fmt.Fprintf(&b, ", %s %s", d.key, d.name)
		case d.index != 0:
			fmt.Fprintf(&b, ", %s %d", d.key, d.index)
		}
	}
	if s.VLAN != (attr.VLAN{}) {
		fmt.Fprintf(&b, ", %v", s.VLAN)
	}
	f, ok := s.flow()
	if ok {
		fmt.Fprintf(&b, ", %v", f)
	} else {
		fmt.Fprintf(&b, ", EtherType %#04x", s.Proto)
	}
	if n := s.length(f); n > 0 {
		fmt.Fprintf(&b, ", %d bytes", n)
	}
	if s.Mark != 0 {
		fmt.Fprintf(&b, ", mark %#x", s.Mark)
	}
	return b.String()
}

// Append appends the summary to the attributes of a slog group: family, hook,
// the names of interfaces that are known (in, out, physin, physout), their indexes
// (in_index and so on) and vlan; proto,
// src and dst if there is an IP header, and else ethertype; len if it is known;
// mark, uid and gid if there are any.
func (s *Summary) Append(attrs []slog.Attr) []slog.Attr {
	attrs = append(attrs,
		slog.String("family", s.Family.String()),
		slog.String("hook", s.Hook.String()))
	for _, d := range s.devices() {
		if d.name != "" {
			attrs = append(attrs, slog.String(d.key, d.name))
		}
		if d.index != 0 {
			attrs = append(attrs, slog.Int(d.indexKey, d.index))
		}
	}
	if s.VLAN != (attr.VLAN{}) {
		attrs = append(attrs, slog.String("vlan", s.VLAN.String()))
	}
	f, ok := s.flow()
	if ok {
		attrs = append(attrs, slog.String("proto", f.ProtocolName()), address("src", f.Src), address("dst", f.Dst))
	} else {
		attrs = append(attrs, slog.String("ethertype", fmt.Sprintf("%#04x", s.Proto)))
	}
	if n := s.length(f); n > 0 {
		attrs = append(attrs, slog.Int("len", n))
	}
	if s.Mark != 0 {
		attrs = append(attrs, slog.Uint64("mark", uint64(s.Mark)))
	}
	if s.HasOwner {
		attrs = append(attrs, slog.Uint64("uid", uint64(s.UID)), slog.Uint64("gid", uint64(s.GID)))
	}
	return attrs
}

// flow returns the flow in Payload, if Proto has nothing against it: what is no
// IP can look as if it were.
func (s *Summary) flow() (nfnl.Flow, bool) {
	switch s.Proto {
	case 0, etherIPv4, etherIPv6:
		return nfnl.ParseFlow(s.Payload)
	}
	return nfnl.Flow{}, false
}

// length returns the packet's length.
func (s *Summary) length(f nfnl.Flow) int {
	switch {
	case s.Len > 0:
		return s.Len
	case f.Length > 0:
		return f.Length
	}
	return len(s.Payload)
}

// address returns an attribute with a, without a port of 0.
func address(key string, a netip.AddrPort) slog.Attr {
	if a.Port() == 0 {
		return slog.Any(key, a.Addr())
	}
	return slog.Any(key, a)
}

// A device is an interface of a packet, and what it is to it.
type device struct {
	key, indexKey string
	index         int
	name          string // as it is formatted; "" if it has none
}

// devices returns the interfaces of the packet.
func (s *Summary) devices() [4]device {
	all := [4]device{
		{key: "in", indexKey: "in_index", index: s.InDev},
		{key: "out", indexKey: "out_index", index: s.OutDev},
		{key: "physin", indexKey: "physin_index", index: s.PhysInDev},
		{key: "physout", indexKey: "physout_index", index: s.PhysOutDev},
	}
	for i := range all {
		if s.Names != nil && all[i].index != 0 {
			all[i].name = Name(s.Names.Name(all[i].index))
		}
	}
	return all
}

// EtherTypes, as in linux/if_ether.h.
const (
	etherIPv4 = 0x0800 // ETH_P_IP
	etherIPv6 = 0x86dd // ETH_P_IPV6
)
