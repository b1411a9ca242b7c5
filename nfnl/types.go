package nfnl

import "strconv"

// A Type names a message: a subsystem in the high byte, one of its messages in
// the low byte. Types below 16 are netlink's own, without a subsystem.
type Type uint16

// Subsystems of nfnetlink, as in linux/netfilter/nfnetlink.h.
const (
	SubsystemQueue = 3 // NFNL_SUBSYS_QUEUE
	SubsystemLog   = 4 // NFNL_SUBSYS_ULOG
)

// Subsystem returns the subsystem the message belongs to.
func (t Type) Subsystem() uint8 { return uint8(t >> 8) }

// control reports whether t is netlink's own and has no nfnetlink header.
func (t Type) control() bool { return t < minType }

// A Family is the protocol family of the hook a packet was caught at, one of
// the kernel's NFPROTO_ numbers.
type Family uint8

// Families, as in linux/netfilter.h.
const (
	Unspec Family = 0  // NFPROTO_UNSPEC
	INet   Family = 1  // NFPROTO_INET: in rules only, packets say IPv4 or IPv6
	IPv4   Family = 2  // NFPROTO_IPV4
	ARP    Family = 3  // NFPROTO_ARP
	NetDev Family = 5  // NFPROTO_NETDEV
	Bridge Family = 7  // NFPROTO_BRIDGE
	IPv6   Family = 10 // NFPROTO_IPV6
)

// String returns the family's name as nft writes it.
func (f Family) String() string {
	switch f {
	case Unspec:
		return "unspec"
	case INet:
		return "inet"
	case IPv4:
		return "ip"
	case ARP:
		return "arp"
	case NetDev:
		return "netdev"
	case Bridge:
		return "bridge"
	case IPv6:
		return "ip6"
	}
	return "family " + strconv.Itoa(int(f))
}

// A Hook is the place in the network stack where a packet was caught. Input,
// Forward and Output mean the same in every family that has them, whatever
// number the kernel gives them there.
type Hook uint8

// The hooks. In the families ip, ip6 and bridge the first five have the numbers
// of enum nf_inet_hooks in linux/netfilter.h; arp has Input, Forward and Output;
// Ingress and Egress are those of netdev.
const (
	Prerouting  Hook = iota // NF_INET_PRE_ROUTING
	Input                   // NF_INET_LOCAL_IN, NF_ARP_IN
	Forward                 // NF_INET_FORWARD, NF_ARP_FORWARD
	Output                  // NF_INET_LOCAL_OUT, NF_ARP_OUT
	Postrouting             // NF_INET_POST_ROUTING
	Ingress                 // NF_NETDEV_INGRESS
	Egress                  // NF_NETDEV_EGRESS
)

var hookNames = [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"}

// unknownHook is set in a Hook whose number has no name in its family.
const unknownHook Hook = 0x80

// String returns the hook's name as nft writes it, or the number of one that has
// no name in its family.
func (h Hook) String() string {
	if int(h) < len(hookNames) {
		return hookNames[h]
	}
	return "hook " + strconv.Itoa(int(h&^unknownHook))
}
