package lab

import (
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// A Family is the kind of packets that a chain sees.
type Family byte

// The families of nf_tables.
const (
	IPv4   Family = unix.NFPROTO_IPV4
	IPv6   Family = unix.NFPROTO_IPV6
	Inet   Family = unix.NFPROTO_INET // IPv4 and IPv6
	ARP    Family = unix.NFPROTO_ARP
	Bridge Family = unix.NFPROTO_BRIDGE
	Netdev Family = unix.NFPROTO_NETDEV // everything on one device
)

// String returns nft's name of the family.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ip"
	case IPv6:
		return "ip6"
	case Inet:
		return "inet"
	case ARP:
		return "arp"
	case Bridge:
		return "bridge"
	case Netdev:
		return "netdev"
	}
	return fmt.Sprintf("family %d", byte(f))
}

// A Hook is a place in the packet path to which a chain is attached.
type Hook byte

// The hooks. ARP has Input and Output only; Netdev has Ingress and Egress only,
// and no other family has these.
const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting
	Ingress
	Egress
)

// String returns nft's name of the hook.
func (h Hook) String() string {
	names := [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"}
	if int(h) < len(names) {
		return names[h]
	}
	return fmt.Sprintf("hook %d", byte(h))
}

// number returns what the kernel calls the hook in a family.
func (h Hook) number(f Family) *nftables.ChainHook {
	switch {
	case f == ARP && h == Input, f == Netdev && h == Ingress:
		return nftables.ChainHookRef(0)
	case f == ARP && h == Output, f == Netdev && h == Egress:
		return nftables.ChainHookRef(1)
	}
	return nftables.ChainHookRef(nftables.ChainHook(h))
}
