package nflog

import (
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// The numbers of linux/netfilter/nfnetlink_log.h, with the kernel's names.
// Integers on the wire are in network byte order.

// Messages.
const (
	typePacket = nfnl.Type(engine.SubsystemLog << 8)   // NFULNL_MSG_PACKET
	typeConfig = nfnl.Type(engine.SubsystemLog<<8 | 1) // NFULNL_MSG_CONFIG
)

// Attributes of packets.
const (
	attrPacketHeader   = 1  // NFULA_PACKET_HDR: 16-bit EtherType, 8-bit hook
	attrMark           = 2  // NFULA_MARK
	attrTimestamp      = 3  // NFULA_TIMESTAMP
	attrInDev          = 4  // NFULA_IFINDEX_INDEV
	attrOutDev         = 5  // NFULA_IFINDEX_OUTDEV
	attrPhysInDev      = 6  // NFULA_IFINDEX_PHYSINDEV
	attrPhysOutDev     = 7  // NFULA_IFINDEX_PHYSOUTDEV
	attrHardwareAddr   = 8  // NFULA_HWADDR
	attrPayload        = 9  // NFULA_PAYLOAD
	attrPrefix         = 10 // NFULA_PREFIX
	attrUID            = 11 // NFULA_UID
	attrSeq            = 12 // NFULA_SEQ
	attrGlobalSeq      = 13 // NFULA_SEQ_GLOBAL
	attrGID            = 14 // NFULA_GID
	attrHardwareType   = 15 // NFULA_HWTYPE
	attrHardwareHeader = 16 // NFULA_HWHEADER
	attrHardwareLen    = 17 // NFULA_HWLEN
	attrConntrack      = 18 // NFULA_CT
	attrConntrackInfo  = 19 // NFULA_CT_INFO
	attrVLAN           = 20 // NFULA_VLAN
	attrLinkHeader     = 21 // NFULA_L2HDR
)

// Attributes of configuration messages.
const (
	attrConfigCommand    = 1 // NFULA_CFG_CMD
	attrConfigMode       = 2 // NFULA_CFG_MODE
	attrConfigBufferSize = 3 // NFULA_CFG_NLBUFSIZ
	attrConfigTimeout    = 4 // NFULA_CFG_TIMEOUT, in 1/100 s
	attrConfigThreshold  = 5 // NFULA_CFG_QTHRESH
	attrConfigFlags      = 6 // NFULA_CFG_FLAGS, 16 bits
)

// Commands.
const (
	commandBind         = 1 // NFULNL_CFG_CMD_BIND
	commandUnbind       = 2 // NFULNL_CFG_CMD_UNBIND
	commandBindFamily   = 3 // NFULNL_CFG_CMD_PF_BIND
	commandUnbindFamily = 4 // NFULNL_CFG_CMD_PF_UNBIND
)

// Copy modes. The third, NONE, does what META does.
const (
	copyMeta   = 1 // NFULNL_COPY_META
	copyPacket = 2 // NFULNL_COPY_PACKET
)

// maxCopyRange is as much as fits into an attribute with its 16-bit length.
const maxCopyRange = 0xffff - 4

// Flags of a group.
const (
	flagSeq       = 1 << 0 // NFULNL_CFG_F_SEQ
	flagGlobalSeq = 1 << 1 // NFULNL_CFG_F_SEQ_GLOBAL
	flagConntrack = 1 << 2 // NFULNL_CFG_F_CONNTRACK
	knownFlags    = 1<<3 - 1
)
