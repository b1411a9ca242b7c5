// Package hooks translates the kernel's hook numbers, which mean one thing in
// the IP and bridge families and another in arp and netdev.
package hooks

import (
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// unknown marks hook numbers that have no name in their family.
const unknown nfnl.Hook = 0x80

// ingress is NF_INET_INGRESS of linux/netfilter.h, behind the five hooks of the
// IP families.
const ingress = 5

var (
	arp    = [...]nfnl.Hook{nfnl.Input, nfnl.Output, nfnl.Forward} // NF_ARP_IN, _OUT, _FORWARD of linux/netfilter_arp.h
	netdev = [...]nfnl.Hook{nfnl.Ingress, nfnl.Egress}             // NF_NETDEV_INGRESS, _EGRESS
)

// Of returns the hook that has number n in family f.
func Of(f nfnl.Family, n uint8) nfnl.Hook {
	if n <= uint8(nfnl.Postrouting) && f != nfnl.ARP && f != nfnl.NetDev {
		return nfnl.Hook(n) // almost always
	}
	return of(f, n)
}

// of is Of for the families with numbers of their own, and for other numbers.
func of(f nfnl.Family, n uint8) nfnl.Hook {
	switch {
	case f == nfnl.ARP && int(n) < len(arp):
		return arp[n]
	case f == nfnl.NetDev && int(n) < len(netdev):
		return netdev[n]
	case n == ingress && (f == engine.INet || f == nfnl.IPv4 || f == nfnl.IPv6):
		return nfnl.Ingress
	}
	return unknown | nfnl.Hook(n)
}

// Number returns the number of h in family f.
func Number(f nfnl.Family, h nfnl.Hook) uint8 {
	for n := range uint8(unknown) {
		if Of(f, n) == h {
			return n
		}
	}
	return uint8(h)
}
