package nflogtest

import (
	"syscall"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/hooks"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// The numbers of linux/netfilter/nfnetlink_log.h. They are written down a second time
// on purpose: a wrong one in package nflog must not look right here.
const (
	typeDone   = nfnl.Type(3)                          // NLMSG_DONE
	typePacket = nfnl.Type(engine.SubsystemLog << 8)   // NFULNL_MSG_PACKET
	typeConfig = nfnl.Type(engine.SubsystemLog<<8 | 1) // NFULNL_MSG_CONFIG

	attrPacketHeader   = 1  // NFULA_PACKET_HDR
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

	attrConfigCommand    = 1 // NFULA_CFG_CMD
	attrConfigMode       = 2 // NFULA_CFG_MODE
	attrConfigBufferSize = 3 // NFULA_CFG_NLBUFSIZ
	attrConfigTimeout    = 4 // NFULA_CFG_TIMEOUT
	attrConfigThreshold  = 5 // NFULA_CFG_QTHRESH
	attrConfigFlags      = 6 // NFULA_CFG_FLAGS

	commandBind         = 1 // NFULNL_CFG_CMD_BIND
	commandUnbind       = 2 // NFULNL_CFG_CMD_UNBIND
	commandBindFamily   = 3 // NFULNL_CFG_CMD_PF_BIND
	commandUnbindFamily = 4 // NFULNL_CFG_CMD_PF_UNBIND
	copyPacket          = 2 // NFULNL_COPY_PACKET
	flagSeq             = 1 // NFULNL_CFG_F_SEQ
	flagGlobalSeq       = 2 // NFULNL_CFG_F_SEQ_GLOBAL
	flagConntrack       = 4 // NFULNL_CFG_F_CONNTRACK

	nested       = 0x8000 // NLA_F_NESTED
	maxCopyRange = 0xffff - 4
	families     = 11 // NFPROTO_NUMPROTO
)

// errNotSupp is the kernel's ENOTSUPP, which has no name in package syscall.
const errNotSupp = syscall.Errno(524)

// AppendPacket appends the message in which the kernel sends p
// (__build_packet_message): with the attributes in the kernel's order, and without
// those that it leaves out. The connection is not in it; see Kernel.LogTracked.
func AppendPacket(b []byte, p *nflog.Packet) []byte { return appendPacket(b, p, nil) }

// appendPacket is AppendPacket with a packet's connection, if there is one.
func appendPacket(b []byte, p *nflog.Packet, c *connection) []byte {
	start := len(b)
	b = engine.Begin(b, &engine.Message{Type: typePacket, Family: p.Family, Resource: p.Group})
	b = attr.AppendBytes(b, attrPacketHeader, []byte{byte(p.Proto >> 8), byte(p.Proto), hooks.Number(p.Family, p.Hook), 0})
	b = attr.AppendString(b, attrPrefix, string(p.Prefix))
	b = appendNonzero(b, attrInDev, uint32(p.InDev))
	b = appendNonzero(b, attrPhysInDev, uint32(p.PhysInDev))
	b = appendNonzero(b, attrOutDev, uint32(p.OutDev))
	b = appendNonzero(b, attrPhysOutDev, uint32(p.PhysOutDev))
	b = appendNonzero(b, attrMark, p.Mark)
	b = appendHardware(b, p)
	if !p.Time.IsZero() && !p.ReceiptTime {
		b = nlattr.AppendTime(b, attrTimestamp, p.Time)
	}
	if p.HasOwner {
		b = attr.AppendUint32(b, attrUID, p.UID)
		b = attr.AppendUint32(b, attrGID, p.GID)
	}
	b = attr.AppendUint32(b, attrSeq, p.Seq)
	b = appendNonzero(b, attrGlobalSeq, p.GlobalSeq)
	if c != nil {
		b = attr.AppendBytes(b, attrConntrack|nested, c.attrs)
		b = attr.AppendUint32(b, attrConntrackInfo, uint32(c.info))
	}
	if p.VLAN != (attr.VLAN{}) {
		b = attr.AppendVLAN(b, attrVLAN, p.VLAN)
	}
	if len(p.LinkHeader) > 0 {
		b = attr.AppendBytes(b, attrLinkHeader, p.LinkHeader)
	}
	if len(p.Payload) > 0 {
		b = attr.AppendBytes(b, attrPayload, p.Payload)
	}
	return engine.End(b, start)
}

// appendHardware appends what the input device tells.
func appendHardware(b []byte, p *nflog.Packet) []byte {
	if len(p.HardwareAddr) > 0 {
		b = nlattr.AppendHardwareAddr(b, attrHardwareAddr, p.HardwareAddr)
	}
	if p.HardwareType == 0 && p.HardwareLen == 0 && len(p.HardwareHeader) == 0 {
		return b
	}
	b = attr.AppendUint16(b, attrHardwareType, p.HardwareType)
	b = attr.AppendUint16(b, attrHardwareLen, p.HardwareLen)
	return attr.AppendBytes(b, attrHardwareHeader, p.HardwareHeader)
}

// appendNonzero appends a number that the kernel leaves out when it is 0.
func appendNonzero(b []byte, typ uint16, v uint32) []byte {
	if v == 0 {
		return b
	}
	return attr.AppendUint32(b, typ, v)
}
