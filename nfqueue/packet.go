package nfqueue

import (
	"net"
	"slices"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Packet is one queued packet. A field that the kernel did not send is zero. If a
// field depends on Config, the hook, the family or a kernel later than 5.10, its
// comment describes that; all other fields are set for every packet.
//
// A Packet and everything it points to are valid until the handler returns (Run)
// or until the next Receive with the same Batch. Use Clone to retain a packet.
type Packet struct {
	ID     uint32      // assigned by the kernel; for Queue.SetVerdict
	Queue  uint16      // number of the queue in which the packet waits
	Proto  uint16      // EtherType of the payload, for example 0x0800
	Family nfnl.Family // of the hook
	Hook   nfnl.Hook

	// Interface indexes; Queue.Links has the names. An index of 0 means that the
	// interface is not known. InDev is known at the hooks prerouting, input and
	// forward. At postrouting it is known for forwarded packets, and for packets that a
	// tunnel of this host sends, where it is the tunnel's device. OutDev is known at
	// forward, output and postrouting. PhysInDev and PhysOutDev are ports of a bridge.
	// They are known in the bridge family, where InDev and OutDev are the bridge, and
	// in other families if the kernel passes bridged packets to them (br_netfilter).
	InDev, OutDev         int
	PhysInDev, PhysOutDev int

	// HardwareAddr is the sender's link-layer address, where InDev is known and its
	// link layer has addresses. At postrouting, packets that a tunnel of this host
	// sends have the address of the packets that they encapsulate.
	HardwareAddr net.HardwareAddr

	LinkHeader []byte    // bridge family only; without the tag that is in VLAN
	VLAN       attr.VLAN // bridge family only

	// Payload is the packet from its network header on, as much of it as
	// Config.CopyRange delivers; it is empty with MetadataOnly. It ends where the IP
	// packet ends, without the padding of a short frame. It may be modified in
	// place, which has no effect unless it is passed to Verdict.WithPayload.
	Payload []byte

	// Len is the length of the packet in bytes before truncation by CopyRange. It is
	// len(Payload) for a packet that was not truncated, and 0 with MetadataOnly.
	Len int

	// Time is the arrival time. It is usually zero, because the kernel takes timestamps
	// only on demand, and from 5.18 on only at prerouting, input and forward.
	Time time.Time

	Mark     uint32
	Priority uint32 // skb->priority; kernel 5.18 or later

	// GSO marks a packet that the kernel will cut into segments later, which does not
	// occur with Config.Segment. ChecksumPending marks one whose transport checksum the
	// kernel has yet to compute; with Segment it is false unless MetadataOnly is set.
	// ChecksumUnverified reports that neither the device nor the kernel has verified
	// the transport checksum. The package verifies it: WithPayload refuses a packet
	// whose checksum is wrong (ErrCorrupt).
	GSO, ChecksumPending, ChecksumUnverified bool

	// HasOwner reports whether Config.Owner is set and the kernel knows the packet's
	// local socket. At output and postrouting that is the sending socket; at input, for
	// TCP and UDP only and not always, the receiving one. UID and GID are those of the
	// process that created the socket, in the initial user namespace.
	HasOwner bool
	UID, GID uint32

	// ClassID is the net_cls class of the cgroup of the packet's local socket, also
	// without Config.Owner; kernel 6.4 or later, with CGROUP_NET_CLASSID.
	ClassID uint32

	// SecurityContext is the label of the security module (SELinux, Smack) that a rule
	// gave the packet ("meta secmark set"). It needs Config.SecurityContext and a local
	// socket that the kernel knows (see HasOwner), but not Config.Owner.
	SecurityContext []byte

	// ConntrackInfo is the packet's relation to its connection (new, established,
	// reply). It is attr.InfoUntracked, which is not zero, if the packet has no
	// connection or Config.Conntrack is not set. The method Conntrack returns the
	// connection.
	ConntrackInfo attr.ConntrackInfo

	conntrack []byte
	q         *Queue
	from      *engine.Batch // keeps the memory that p refers to
	ticket    Ticket        // of the packet as it was received, before a handler edited it
	corrupt   bool          // its checksum was wrong before anybody touched it
}

// Decode sets p to the packet in m, whose bytes it aliases. If it returns an error, the
// error wraps attr.ErrMalformed or nfnl.ErrMalformed, and p.ID is the packet's ID, or 0
// if that could not be parsed.
func (p *Packet) Decode(m nfnl.Message) error {
	p.Queue = m.Resource
	found, err := p.decode(m.Family, m.Attrs)
	if !found && err == nil {
		return errNoHeader
	}
	p.check()
	return err
}

// check looks for padding and damage in p as it was received, because a handler may
// edit it in place. Of most packets the kernel has verified the checksum; they cost
// nothing.
func (p *Packet) check() {
	p.trim()
	p.corrupt = p.ChecksumUnverified && !p.ChecksumPending && !p.Truncated() && !checksum.OK(p.Payload)
}

// setSkbInfo sets the fields that are in attrSkbInfo.
func (p *Packet) setSkbInfo(bits uint32) {
	p.GSO = bits&skbGSO != 0
	p.ChecksumPending = bits&skbChecksumPending != 0
	p.ChecksumUnverified = bits&skbChecksumUnverified != 0
}

// Truncated reports whether Payload is shorter than the packet because of
// Config.CopyRange. With Config.MetadataOnly the length is not known, and it is false.
func (p *Packet) Truncated() bool { return p.Len > len(p.Payload) }

// Clone returns a copy that shares no memory with p.
func (p *Packet) Clone() *Packet {
	c := *p
	c.HardwareAddr = slices.Clone(p.HardwareAddr)
	c.LinkHeader = slices.Clone(p.LinkHeader)
	c.Payload = slices.Clone(p.Payload)
	c.SecurityContext = slices.Clone(p.SecurityContext)
	c.conntrack = slices.Clone(p.conntrack)
	c.from = nil
	return &c
}
