// Package nlhead reads of the header of a message what the fast paths of nfqueue and
// nflog need.
package nlhead

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Len is how many bytes of a message stand before its attributes.
//
//	 0        4      6       8     12        16       17        18         20
//	+--------+------+-------+-----+---------+--------+---------+----------+
//	| length | type | flags | seq | port ID | family | version | resource |
//	+--------+------+-------+-----+---------+--------+---------+----------+
//	 struct nlmsghdr, linux/netlink.h        struct nfgenmsg, linux/netfilter/nfnetlink.h
const Len = 20

// MessageLen returns the length of the message that msgs begins with, if that has the
// type and resource and is all there, and otherwise 0. With Family it is what a
// function for Batch.TakeRuns needs of a header, and takes less time than Next.
func MessageLen(msgs []byte, t nfnl.Type, resource uint16) int {
	if len(msgs) < Len || nfnl.Type(binary.NativeEndian.Uint16(msgs[4:])) != t || binary.BigEndian.Uint16(msgs[18:]) != resource {
		return 0
	}
	n := binary.NativeEndian.Uint32(msgs)
	if n < Len || uint64(n) > uint64(len(msgs)) {
		return 0
	}
	return int(n)
}

// Family returns the family of the message that msgs begins with, of which
// MessageLen has said that it is there.
func Family(msgs []byte) nfnl.Family { return nfnl.Family(msgs[16]) }
