package nflog

import (
	"net"
	"slices"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Packet is one logged packet. A field the kernel did not send is zero; it
// leaves out a mark or interface that is zero itself. Fields that need something
// set in Config, a hook, a family or a kernel above 5.10 say so; the others
// every packet has.
//
// A Packet and all it points to are valid until the next iteration (Packets)
// or until the next Receive with the same Batch. Clone keeps one longer.
type Packet struct {
	Group  uint16      // that it was logged to
	Proto  uint16      // EtherType of the payload, for example 0x0800
	Family nfnl.Family // of the hook
	Hook   nfnl.Hook

	// Prefix is the text in the rule, if it has any, without the NUL that ends it
	// on the wire.
	Prefix []byte

	// Interface indexes; Reader.Links has the names. InDev is known at the hooks
	// prerouting, input, forward and ingress, and at postrouting of packets that are
	// forwarded or that a tunnel of this host sends: then it is the tunnel's device.
	// OutDev is known at forward, output, postrouting and egress. The physical ones are
	// the ports of a bridge: in the bridge family, where InDev and OutDev are the
	// bridge, and in others if the kernel hands bridged packets to them (br_netfilter).
	InDev, OutDev         int
	PhysInDev, PhysOutDev int

	// HardwareAddr is the sender's link-layer address, where InDev is known and its
	// link layer has addresses. At postrouting of a packet that a local tunnel sends, it
	// is taken from the encapsulated packet, and so is HardwareHeader.
	HardwareAddr net.HardwareAddr

	// HardwareType is the ARPHRD_ number of the input device (1 is Ethernet, 772
	// loopback), HardwareLen the length of its link-layer headers in bytes, and
	// HardwareHeader the one that the packet came with. They are known where InDev
	// is, of packets that have a link header.
	HardwareType, HardwareLen uint16
	HardwareHeader            []byte

	LinkHeader []byte    // bridge and netdev families only; a tag in VLAN is not in it
	VLAN       attr.VLAN // bridge and netdev families only

	// Payload is the packet from its network header on, as much of it as
	// Config.CopyRange and the rule let through; there is none with MetadataOnly.
	// At the hook egress it begins with LinkHeader, and at ARP's output with the
	// frame's link header too. The kernel does not
	// report the length of the packet; the IP header has it. Packets sent by a local
	// program may not have their checksums yet.
	Payload []byte

	// At prerouting, input, forward, ingress and egress, Time is the arrival time: for
	// every packet from Linux 6.6 on, and for some packets before. Otherwise it is the
	// time at which the package received the packet, and ReceiptTime is set. The two
	// cannot be compared: order packets by Seq or GlobalSeq, not by Time.
	Time        time.Time
	ReceiptTime bool

	Mark uint32

	// HasOwner reports whether the kernel knows the packet's local socket. At output and
	// postrouting that is the sending socket; at input, for TCP and UDP only and not
	// always, the receiving one; at ingress of a veth device, the one that sent the
	// packet into the other end. UID and GID are those of the process that created the
	// socket, in the user namespace of the program that opened the group.
	HasOwner bool
	UID, GID uint32

	// Seq numbers the packets of a group, from 0 on whenever the group is bound.
	// GlobalSeq numbers those of all groups in the network namespace, if
	// Config.GlobalSequence is set. Both wrap around.
	Seq, GlobalSeq uint32

	// ConntrackInfo is the packet's place in its connection, if Config.Conntrack
	// is set, and otherwise attr.InfoUntracked. See the method Conntrack for
	// what there is to know of the connection.
	ConntrackInfo attr.ConntrackInfo

	conntrack []byte
	from      *engine.Batch // keeps the memory that the Packet refers to
}

// Clone returns a copy that shares no memory with p.
func (p *Packet) Clone() *Packet {
	c := *p
	c.Prefix = slices.Clone(p.Prefix)
	c.HardwareAddr = slices.Clone(p.HardwareAddr)
	c.HardwareHeader = slices.Clone(p.HardwareHeader)
	c.LinkHeader = slices.Clone(p.LinkHeader)
	c.Payload = slices.Clone(p.Payload)
	c.conntrack = slices.Clone(p.conntrack)
	c.from = nil
	return &c
}

// Conntrack decodes what connection tracking knows of p's connection, which
// Config.Conntrack asks for. Its slices are valid as long as p. The error is
// ErrUntracked if the kernel sent nothing, and otherwise wraps
// attr.ErrMalformed.
func (p *Packet) Conntrack() (attr.Conntrack, error) {
	var c attr.Conntrack
	if len(p.conntrack) == 0 {
		return c, ErrUntracked
	}
	err := c.Decode(p.conntrack)
	return c, err
}

// ConntrackBytes returns the attribute NFULA_CT as the kernel sent it, for other
// libraries that decode ctnetlink's attributes (CTA_TUPLE_ORIG and so on). It is
// nil if there is none, and valid as long as p.
func (p *Packet) ConntrackBytes() []byte { return p.conntrack }
