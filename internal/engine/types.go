package engine

import "strconv"

// A Type names a message: a subsystem in the high byte, one of its messages in
// the low byte. Types below 16 are netlink's own, without a subsystem.
type Type uint16

// Subsystems of nfnetlink, as in linux/netfilter/nfnetlink.h.
const (
	SubsystemQueue = 3 // NFNL_SUBSYS_QUEUE
	SubsystemLog   = 4 // NFNL_SUBSYS_ULOG
)

// control reports whether t is netlink's own and has no nfnetlink header.
func (t Type) control() bool { return t < minType }

// A Family is the protocol family of a hook, one of the kernel's NFPROTO_ numbers.
type Family uint8

// Families, as in linux/netfilter.h.
const (
	Unspec Family = 0  // NFPROTO_UNSPEC
	INet   Family = 1  // NFPROTO_INET: in rules only; packets have IPv4 or IPv6
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
