package nfnl

import (
	"strconv"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// A Family is the protocol family of a hook, one of the kernel's NFPROTO_* numbers, as
// a uint8. Its String method returns the family's name as nft writes it. The zero
// Family is NFPROTO_UNSPEC.
type Family = engine.Family

// The families, as in linux/netfilter.h. A packet of a chain of nft's family inet has
// the family IPv4 or IPv6.
const (
	IPv4   Family = 2  // NFPROTO_IPV4
	ARP    Family = 3  // NFPROTO_ARP
	NetDev Family = 5  // NFPROTO_NETDEV
	Bridge Family = 7  // NFPROTO_BRIDGE
	IPv6   Family = 10 // NFPROTO_IPV6
)

// A Hook is the netfilter hook at which a packet was queued or logged. Input, Forward
// and Output have the same value in every family, although the kernel numbers those of
// ARP differently. The zero Hook is Prerouting.
type Hook uint8

// The hooks. The first five have the numbers of enum nf_inet_hooks in
// linux/netfilter.h; the families ip, ip6 and bridge have all five, arp has Input,
// Forward and Output. netdev has Ingress and Egress, and inet has Ingress too.
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

// String returns the hook's name as nft writes it, or "hook" and the kernel's number
// for a hook that this package does not know.
func (h Hook) String() string {
	if int(h) < len(hookNames) {
		return hookNames[h]
	}
	return "hook " + strconv.Itoa(int(h&^unknownHook))
}
