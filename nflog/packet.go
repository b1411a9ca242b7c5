package nflog

import (
	"net"
	"slices"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Packet is one logged packet. A field that the kernel did not send is zero. If a
// field depends on Config, the hook, the family or a kernel later than 5.10, its
// comment describes that; all other fields are set for every packet.
//
// A Packet and everything it points to are valid until the next iteration (Packets) or
// until the next Receive with the same Batch. Use Clone to retain a packet.
type Packet struct {
	Group  uint16      // number of the group to which the packet was logged
	Proto  uint16      // EtherType of the payload, for example 0x0800
	Family nfnl.Family // of the hook
	Hook   nfnl.Hook

	// Prefix is the text of the rule's "prefix" option, without the terminating NUL. It
	// is empty if the rule has none.
	Prefix []byte

	// Interface indexes; Reader.Links has the names. An index of 0 means that the
	// interface is not known. InDev is known at the hooks prerouting, input, forward
	// and ingress. At postrouting it is known for forwarded packets, and for packets
	// that a tunnel of this host sends, where it is the tunnel's device. OutDev is
	// known at forward, output, postrouting and egress. PhysInDev and PhysOutDev are
	// ports of a bridge. They are known in the bridge family, where InDev and OutDev
	// are the bridge, and in other families if the kernel passes bridged packets to
	// them (br_netfilter).
	InDev, OutDev         int
	PhysInDev, PhysOutDev int

	// HardwareAddr is the sender's link-layer address, where InDev is known and its
	// link layer has addresses. At postrouting, packets that a tunnel of this host
	// sends have the HardwareAddr and HardwareHeader of the packets that they
	// encapsulate.
	HardwareAddr net.HardwareAddr

	// HardwareType is the type of the input device (ARPHRD_*: 1 is Ethernet, 772
	// loopback), HardwareLen the length of its link-layer headers in bytes, and
	// HardwareHeader the link-layer header with which the packet arrived. They are
	// known where InDev is known and the packet has a link-layer header.
	HardwareType, HardwareLen uint16
	HardwareHeader            []byte

	LinkHeader []byte    // bridge and netdev families only; without the tag that is in VLAN
	VLAN       attr.VLAN // bridge and netdev families only

	// Payload is the packet from its network header on, truncated to Config.CopyRange
	// or the rule's "snaplen"; it is empty with MetadataOnly. At the hook egress, and
	// at the hook output of the ARP family, it begins with the link-layer header
	// instead. The kernel does not report the length of the packet; the IP header has
	// it. Packets sent by a local program may not have their checksums yet.
	Payload []byte

	// Time is the packet's arrival time if the kernel reports one: for every packet at
	// prerouting, input and forward, and at all hooks of the families arp and netdev;
	// before Linux 6.6 only for some of these. Otherwise it is the time at which the
	// package received the packet, and ReceiptTime is set. The two cannot be compared:
	// order packets by Seq or GlobalSeq, not by Time.
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

	// Seq numbers the packets of a group. It starts at 0 each time the group is bound.
	// GlobalSeq numbers the packets of all groups in the network namespace, if
	// Config.GlobalSequence is set. Both wrap around to 0.
	Seq, GlobalSeq uint32

	// ConntrackInfo is the packet's relation to its connection (new, established,
	// reply). It is attr.InfoUntracked, which is not zero, if the packet has no
	// connection or Config.Conntrack is not set. The method Conntrack returns the
	// connection.
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

// Conntrack returns the entry in the connection tracking table for p's connection,
// which the kernel sends with Config.Conntrack. Its slices are valid as long as p is.
// The error is ErrUntracked if the kernel sent no entry, and otherwise wraps
// attr.ErrMalformed.
func (p *Packet) Conntrack() (attr.Conntrack, error) {
	var c attr.Conntrack
	if len(p.conntrack) == 0 {
		return c, ErrUntracked
	}
	err := c.Decode(p.conntrack)
	return c, err
}

// ConntrackBytes returns the attribute NFULA_CT as the kernel sent it, for use with
// other libraries that decode the attributes of ctnetlink (CTA_TUPLE_ORIG and so on).
// It is nil if there is none, and valid as long as p is.
func (p *Packet) ConntrackBytes() []byte { return p.conntrack }
