package engine

import "syscall"

// The numbers of the wire, with the kernel's names.

// Message types below minType are netlink's own (linux/netlink.h).
const (
	typeNoop  Type = 0x1  // NLMSG_NOOP
	typeError Type = 0x2  // NLMSG_ERROR: an acknowledgement or a refusal
	typeDone  Type = 0x3  // NLMSG_DONE: ends a datagram of several log messages
	minType   Type = 0x10 // NLMSG_MIN_TYPE
)

// Flags of a message.
const (
	FlagRequest uint16 = 0x1 // NLM_F_REQUEST: without it the kernel ignores the message
	FlagAck     uint16 = 0x4 // NLM_F_ACK: answer also when all is well

	flagCapped uint16 = 0x100 // NLM_F_CAPPED: the refused message is not echoed whole
	flagText   uint16 = 0x200 // NLM_F_ACK_TLVS: attributes follow
)

// Attributes of an NLMSG_ERROR message.
const (
	errorText   = 1 // NLMSGERR_ATTR_MSG
	errorOffset = 2 // NLMSGERR_ATTR_OFFS, in host byte order
)

// Sizes of the headers.
const (
	headerLen  = 16 // sizeof(struct nlmsghdr)
	genericLen = 4  // sizeof(struct nfgenmsg)
	errorLen   = 4 + headerLen
	alignTo    = 4 // NLMSG_ALIGNTO
)

// errNotSupp is the kernel's ENOTSUPP, which is not EOPNOTSUPP and has no name
// outside include/linux/errno.h. nfnetlink answers it to messages that only
// the kernel sends.
const errNotSupp = syscall.Errno(524)
