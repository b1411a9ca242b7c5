package nfqueuetest

import (
	"syscall"

	"github.com/nfpacket/nfpacket/nfnl"
)

// The numbers of linux/netfilter/nfnetlink_queue.h and linux/netfilter.h. They
// are written down a second time on purpose: a wrong one in package nfqueue
// must not look right here.

const (
	typePacket       nfnl.Type = 0x0300 // NFQNL_MSG_PACKET
	typeVerdict      nfnl.Type = 0x0301 // NFQNL_MSG_VERDICT
	typeVerdictBatch nfnl.Type = 0x0303 // NFQNL_MSG_VERDICT_BATCH
	typeConfig       nfnl.Type = 0x0302 // NFQNL_MSG_CONFIG
)

const (
	attrPacketHeader  = 1  // NFQA_PACKET_HDR
	attrVerdictHeader = 2  // NFQA_VERDICT_HDR
	attrMark          = 3  // NFQA_MARK
	attrTimestamp     = 4  // NFQA_TIMESTAMP
	attrInDev         = 5  // NFQA_IFINDEX_INDEV
	attrOutDev        = 6  // NFQA_IFINDEX_OUTDEV
	attrPhysInDev     = 7  // NFQA_IFINDEX_PHYSINDEV
	attrPhysOutDev    = 8  // NFQA_IFINDEX_PHYSOUTDEV
	attrHardwareAddr  = 9  // NFQA_HWADDR
	attrPayload       = 10 // NFQA_PAYLOAD
	attrConntrack     = 11 // NFQA_CT
	attrFullLen       = 13 // NFQA_CAP_LEN
	attrSkbInfo       = 14 // NFQA_SKB_INFO
	attrExpectation   = 15 // NFQA_EXP
	attrUID           = 16 // NFQA_UID
	attrGID           = 17 // NFQA_GID
	attrSecurity      = 18 // NFQA_SECCTX
	attrVLAN          = 19 // NFQA_VLAN
	attrLinkHeader    = 20 // NFQA_L2HDR
	attrPriority      = 21 // NFQA_PRIORITY
	attrClassID       = 22 // NFQA_CGROUP_CLASSID
)

const (
	attrConfigCommand = 1 // NFQA_CFG_CMD
	attrConfigParams  = 2 // NFQA_CFG_PARAMS
	attrConfigMaxLen  = 3 // NFQA_CFG_QUEUE_MAXLEN
	attrConfigMask    = 4 // NFQA_CFG_MASK
	attrConfigFlags   = 5 // NFQA_CFG_FLAGS
)

const (
	commandBind     = 1 // NFQNL_CFG_CMD_BIND
	commandUnbind   = 2 // NFQNL_CFG_CMD_UNBIND
	commandPFBind   = 3 // NFQNL_CFG_CMD_PF_BIND
	commandPFUnbind = 4 // NFQNL_CFG_CMD_PF_UNBIND
)

const (
	copyNone   = 0 // NFQNL_COPY_NONE
	copyMeta   = 1 // NFQNL_COPY_META
	copyPacket = 2 // NFQNL_COPY_PACKET
)

const (
	flagOwner    = 1 << 3 // NFQA_CFG_F_UID_GID
	flagSecurity = 1 << 4 // NFQA_CFG_F_SECCTX
	flagMax      = 1 << 5 // NFQA_CFG_F_MAX
)

const (
	wordDrop   = 0       // NF_DROP
	wordAccept = 1       // NF_ACCEPT
	wordStolen = 2       // NF_STOLEN
	wordQueue  = 3       // NF_QUEUE
	wordRepeat = 4       // NF_REPEAT
	wordStop   = 5       // NF_STOP, NF_MAX_VERDICT
	wordMask   = 0xff    // NF_VERDICT_MASK
	wordBypass = 1 << 15 // NF_VERDICT_FLAG_QUEUE_BYPASS
)

const (
	defaultMaxLen = 1024       // NFQNL_QMAX_DEFAULT
	maxCopyRange  = 0xffff - 4 // NFQNL_MAX_COPY_RANGE
)

// errNotSupp is the kernel's ENOTSUPP, its answer to messages that it alone
// sends.
const errNotSupp = syscall.Errno(524)

// The attributes of a connection that a verdict may change, enum ctattr_type.
const (
	ctaTimeout    = 7  // CTA_TIMEOUT
	ctaStatus     = 3  // CTA_STATUS
	ctaMark       = 8  // CTA_MARK
	ctaMarkMask   = 21 // CTA_MARK_MASK
	ctaLabels     = 22 // CTA_LABELS
	ctaLabelsMask = 23 // CTA_LABELS_MASK
)
