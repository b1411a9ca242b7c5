package nfqueue

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/ipheader"
	"github.com/nfpacket/nfpacket/nfnl"
)

// From 7.2 on Linux silently drops packets with certain rewrites (nfqnl_mangle
// and nfqnl_validate_write in nfnetlink_queue.c). This file refuses these.

// restriction is what the kernel lets a payload change.
type restriction uint8

const (
	anyRewrite  restriction = iota // kernels before 7.2
	sameHeaders                    // what nfqnl_validate_write lets through
	noRewrite                      // in a user namespace
)

// restrictionOf asks for the running kernel, and for the network namespace of
// conn. A kernel that is a fake takes everything, whatever the real one is.
func restrictionOf(conn *engine.Conn) restriction {
	switch {
	case conn.PortID() == 0 || !diagnose.KernelAtLeast(7, 2):
		return anyRewrite
	case conn.InUserNamespace():
		return noRewrite
	}
	return sameHeaders
}

// refuseRewrite returns why the kernel would drop the packet if b, finished or
// raw, replaced it.
func (t *Ticket) refuseRewrite(b []byte) error {
	if t.q == nil || t.q.restriction == anyRewrite {
		return nil
	}
	switch {
	case t.q.restriction == noRewrite:
		return fmt.Errorf("%w: the network namespace belongs to a user namespace; have root of the host make it", ErrRewriteForbidden)
	case t.family != nfnl.IPv4 && t.family != nfnl.IPv6:
		return fmt.Errorf("%w: the packet is of family %v, not ip or ip6", ErrRewriteForbidden, t.family)
	case !saysItsLength(t.family, b):
		return fmt.Errorf("%w: the version or the length in its header is wrong", ErrRewriteForbidden)
	case t.shape == noShape || shapeOf(t.family, b) != t.shape:
		return fmt.Errorf("%w: it changes the length of the header, options, extension headers, or fragment fields", ErrRewriteForbidden)
	}
	return nil
}

// saysItsLength reports whether b starts with a header of the family whose length
// field has the length of b.
func saysItsLength(f nfnl.Family, b []byte) bool {
	if f == nfnl.IPv4 {
		return len(b) >= ipheader.IPv4Len && b[0]>>4 == 4 && int(binary.BigEndian.Uint16(b[2:])) == len(b)
	}
	return len(b) >= ipheader.IPv6Len && b[0]>>4 == 6 && int(binary.BigEndian.Uint16(b[4:])) == len(b)-ipheader.IPv6Len
}

// A shape identifies the parts of the network header that no rewrite may change. It
// is noShape for invalid headers, with which no rewrite is possible.
type shape uint32

const (
	noShape shape = 0

	shapePlain  shape = 1 << 30 // a header of fixed length
	shapeHashed shape = 1 << 31 // one with more in it
)

// shapeOf returns the shape of a packet of a hook's family.
func shapeOf(f nfnl.Family, b []byte) shape {
	switch {
	case f == nfnl.IPv4 && len(b) >= ipheader.IPv4Len:
		return shapeIPv4(b)
	case f == nfnl.IPv6 && len(b) >= ipheader.IPv6Len:
		return shapeIPv6(b)
	}
	return noShape
}

// shapeIPv4 is of the fragment field but for IP_DF, and the options.
func shapeIPv4(b []byte) shape {
	const dontFragment = 0x4000 // IP_DF of net/ip.h
	n := int(b[0]&0xf) * 4
	if n < ipheader.IPv4Len || n > len(b) {
		return noShape
	}
	return newShape(binary.BigEndian.Uint16(b[6:])&^dontFragment, b[ipheader.IPv4Len:n])
}

// shapeIPv6 is of the next header, and all extension headers. Unlike Finish
// the kernel counts AH among these, and looks for more in any fragment
// (nfqnl_validate_exthdr).
func shapeIPv6(b []byte) shape {
	const most = 12 // IP6_MAX_EXT_HDRS_CNT of net/ipv6.h
	x := ipheader.ExtensionsOf(b)
	for n := 0; x.Step(); n++ {
		if n == most {
			return noShape
		}
	}
	if x.Cut() {
		return noShape
	}
	return newShape(uint16(b[6]), b[ipheader.IPv6Len:x.End()])
}

// shapeSeed is the program's own: no sender knows which options look alike.
var shapeSeed = maphash.MakeSeed()

// newShape returns the shape of a fixed field and what else is in the header.
func newShape(fixed uint16, more []byte) shape {
	if len(more) == 0 {
		return shapePlain | shape(fixed)
	}
	return shapeHashed | shape(fixed) ^ shape(maphash.Bytes(shapeSeed, more)>>33)
}
