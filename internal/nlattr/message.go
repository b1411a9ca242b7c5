// Package nlattr is how nfqueue and nflog read messages of packets without a copy of
// what they do not need: of the header three fields, and the attributes with an index
// into their bytes.
package nlattr

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// MessageHeaderLen is how many bytes of a message stand before its attributes.
//
//	 0        4      6       8     12        16       17        18         20
//	+--------+------+-------+-----+---------+--------+---------+----------+
//	| length | type | flags | seq | port ID | family | version | resource |
//	+--------+------+-------+-----+---------+--------+---------+----------+
//	 struct nlmsghdr, linux/netlink.h        struct nfgenmsg, linux/netfilter/nfnetlink.h
const MessageHeaderLen = 20

// MessageLen returns the length of the message that msgs begins with, if that has the
// type and resource and is all there, and otherwise 0. With Family it is what a
// function for engine.Batch.TakeRuns needs of a header, and takes less time than engine.Next.
func MessageLen(msgs []byte, t engine.Type, resource uint16) int {
	if len(msgs) < MessageHeaderLen || engine.Type(binary.NativeEndian.Uint16(msgs[4:])) != t || binary.BigEndian.Uint16(msgs[18:]) != resource {
		return 0
	}
	n := binary.NativeEndian.Uint32(msgs)
	if n < MessageHeaderLen || uint64(n) > uint64(len(msgs)) {
		return 0
	}
	return int(n)
}

// Family returns the family of the message that msgs begins with, of which
// MessageLen has said that it is there.
func Family(msgs []byte) engine.Family { return engine.Family(msgs[16]) }
