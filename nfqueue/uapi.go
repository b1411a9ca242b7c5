package nfqueue

import (
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// The numbers of linux/netfilter/nfnetlink_queue.h and linux/netfilter.h, with
// the kernel's names. Integers on the wire are in network byte order.

// Messages.
const (
	typePacket       = nfnl.Type(engine.SubsystemQueue << 8)   // NFQNL_MSG_PACKET
	typeVerdict      = nfnl.Type(engine.SubsystemQueue<<8 | 1) // NFQNL_MSG_VERDICT
	typeConfig       = nfnl.Type(engine.SubsystemQueue<<8 | 2) // NFQNL_MSG_CONFIG
	typeVerdictBatch = nfnl.Type(engine.SubsystemQueue<<8 | 3) // NFQNL_MSG_VERDICT_BATCH
)

// Attributes of packets and verdicts.
const (
	attrPacketHeader  = 1  // NFQA_PACKET_HDR: 32-bit ID, 16-bit EtherType, 8-bit hook
	attrVerdictHeader = 2  // NFQA_VERDICT_HDR: 32-bit verdict, 32-bit ID
	attrMark          = 3  // NFQA_MARK
	attrTimestamp     = 4  // NFQA_TIMESTAMP
	attrInDev         = 5  // NFQA_IFINDEX_INDEV
	attrOutDev        = 6  // NFQA_IFINDEX_OUTDEV
	attrPhysInDev     = 7  // NFQA_IFINDEX_PHYSINDEV
	attrPhysOutDev    = 8  // NFQA_IFINDEX_PHYSOUTDEV
	attrHardwareAddr  = 9  // NFQA_HWADDR
	attrPayload       = 10 // NFQA_PAYLOAD
	attrConntrack     = 11 // NFQA_CT
	attrConntrackInfo = 12 // NFQA_CT_INFO
	attrFullLen       = 13 // NFQA_CAP_LEN
	attrSkbInfo       = 14 // NFQA_SKB_INFO
	attrExpectation   = 15 // NFQA_EXP, in verdicts only
	attrUID           = 16 // NFQA_UID
	attrGID           = 17 // NFQA_GID
	attrSecurity      = 18 // NFQA_SECCTX
	attrVLAN          = 19 // NFQA_VLAN
	attrLinkHeader    = 20 // NFQA_L2HDR
	attrPriority      = 21 // NFQA_PRIORITY
	attrClassID       = 22 // NFQA_CGROUP_CLASSID
)

// What attrConntrack has of the connection, enum ctattr_type of
// linux/netfilter/nfnetlink_conntrack.h.
const (
	ctaStatus     = 3  // CTA_STATUS
	ctaHelp       = 5  // CTA_HELP, if it has a helper
	ctaTimeout    = 7  // CTA_TIMEOUT
	ctaMark       = 8  // CTA_MARK
	ctaMarkMask   = 21 // CTA_MARK_MASK: the bits to change
	ctaLabels     = 22 // CTA_LABELS
	ctaLabelsMask = 23 // CTA_LABELS_MASK
)

// Bits of attrSkbInfo.
const (
	skbChecksumPending    = 1 << 0 // NFQA_SKB_CSUMNOTREADY
	skbGSO                = 1 << 1 // NFQA_SKB_GSO
	skbChecksumUnverified = 1 << 2 // NFQA_SKB_CSUM_NOTVERIFIED
)

// Attributes of configuration messages.
const (
	attrConfigCommand = 1 // NFQA_CFG_CMD
	attrConfigParams  = 2 // NFQA_CFG_PARAMS
	attrConfigMaxLen  = 3 // NFQA_CFG_QUEUE_MAXLEN
	attrConfigMask    = 4 // NFQA_CFG_MASK
	attrConfigFlags   = 5 // NFQA_CFG_FLAGS
)

// Commands.
const (
	commandBind   = 1 // NFQNL_CFG_CMD_BIND
	commandUnbind = 2 // NFQNL_CFG_CMD_UNBIND
)

// Copy modes. The third, NONE, makes the kernel drop every packet.
const (
	copyMeta   = 1 // NFQNL_COPY_META
	copyPacket = 2 // NFQNL_COPY_PACKET
)

// maxCopyRange is as much as fits into an attribute with its 16-bit length.
const maxCopyRange = 0xffff - 4

// Flags of a queue.
const (
	flagFailOpen  = 1 << 0 // NFQA_CFG_F_FAIL_OPEN
	flagConntrack = 1 << 1 // NFQA_CFG_F_CONNTRACK
	flagGSO       = 1 << 2 // NFQA_CFG_F_GSO
	flagOwner     = 1 << 3 // NFQA_CFG_F_UID_GID
	flagSecurity  = 1 << 4 // NFQA_CFG_F_SECCTX
	knownFlags    = 1<<5 - 1
)

// Verdict words. The kernel compares all 32 bits: bits outside of what is
// below make it deliver at once, past the remaining hooks.
const (
	wordDrop   = 0       // NF_DROP
	wordAccept = 1       // NF_ACCEPT
	wordQueue  = 3       // NF_QUEUE, the queue in the upper half
	wordRepeat = 4       // NF_REPEAT
	wordStop   = 5       // NF_STOP
	wordBypass = 1 << 15 // NF_VERDICT_FLAG_QUEUE_BYPASS
)

// EtherTypes, as in linux/if_ether.h.
const (
	etherIPv4 = 0x0800 // ETH_P_IP
	etherIPv6 = 0x86dd // ETH_P_IPV6
)
