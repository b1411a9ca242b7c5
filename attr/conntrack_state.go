package attr

import (
	"fmt"
	"strconv"
	"strings"
)

// ConntrackInfo is a packet's relation to its connection, the value of the
// attributes NFQA_CT_INFO and NFULA_CT_INFO.
type ConntrackInfo uint32

// The values of a ConntrackInfo: enum ip_conntrack_info of
// linux/netfilter/nf_conntrack_common.h.
const (
	InfoEstablished      ConntrackInfo = 0 // IP_CT_ESTABLISHED
	InfoRelated          ConntrackInfo = 1 // IP_CT_RELATED: a new connection, or an ICMP error, that belongs to another
	InfoNew              ConntrackInfo = 2 // IP_CT_NEW
	InfoEstablishedReply ConntrackInfo = 3 // IP_CT_ESTABLISHED_REPLY: in the direction opposite to the first packet
	InfoRelatedReply     ConntrackInfo = 4 // IP_CT_RELATED_REPLY
	InfoUntracked        ConntrackInfo = 7 // IP_CT_UNTRACKED: no connection, for example because of a "notrack" rule; also the value without Config.Conntrack
)

// String returns the name as nft writes it, followed by "reply" in the reply
// direction, for example "established reply".
func (i ConntrackInfo) String() string {
	switch i {
	case InfoEstablished:
		return "established"
	case InfoRelated:
		return "related"
	case InfoNew:
		return "new"
	case InfoEstablishedReply:
		return "established reply"
	case InfoRelatedReply:
		return "related reply"
	case InfoUntracked:
		return "untracked"
	}
	return "info " + strconv.FormatUint(uint64(i), 10)
}

// ConntrackStatus is a set of flags of a connection, in the kernel's bits.
type ConntrackStatus uint32

// The bits of a ConntrackStatus: enum ip_conntrack_status of
// linux/netfilter/nf_conntrack_common.h.
const (
	StatusExpected           ConntrackStatus = 1 << 0  // IPS_EXPECTED: a helper expected it because of another connection
	StatusSeenReply          ConntrackStatus = 1 << 1  // IPS_SEEN_REPLY
	StatusAssured            ConntrackStatus = 1 << 2  // IPS_ASSURED: kept when the table is full
	StatusConfirmed          ConntrackStatus = 1 << 3  // IPS_CONFIRMED: its first packet has passed all hooks
	StatusSourceNAT          ConntrackStatus = 1 << 4  // IPS_SRC_NAT
	StatusDestinationNAT     ConntrackStatus = 1 << 5  // IPS_DST_NAT
	StatusSeqAdjust          ConntrackStatus = 1 << 6  // IPS_SEQ_ADJUST
	StatusSourceNATDone      ConntrackStatus = 1 << 7  // IPS_SRC_NAT_DONE: NAT was decided on, even if it changes nothing
	StatusDestinationNATDone ConntrackStatus = 1 << 8  // IPS_DST_NAT_DONE
	StatusDying              ConntrackStatus = 1 << 9  // IPS_DYING
	StatusFixedTimeout       ConntrackStatus = 1 << 10 // IPS_FIXED_TIMEOUT: packets do not renew the timeout
	StatusTemplate           ConntrackStatus = 1 << 11 // IPS_TEMPLATE
	StatusHelper             ConntrackStatus = 1 << 13 // IPS_HELPER: a rule chose the helper
	StatusOffload            ConntrackStatus = 1 << 14 // IPS_OFFLOAD: in a flow table
	StatusHardwareOffload    ConntrackStatus = 1 << 15 // IPS_HW_OFFLOAD
)

// statusNames has the name of each bit, as nft writes it where it knows it.
var statusNames = [...]string{
	"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "seq-adjust", "snat-done", "dnat-done",
	"dying", "fixed-timeout", "template", "untracked", "helper", "offload", "hw-offload",
}

// String returns the names of the set bits, for example
// "seen-reply,assured,confirmed". Bits without a name are written as one number in
// hexadecimal.
func (s ConntrackStatus) String() string { return setNames(statusNames[:], uint32(s)) }

// setNames returns the names of the bits that are set, and bits without a name
// as a number.
func setNames(all []string, set uint32) string {
	var names []string
	for i, name := range all {
		if set&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := set >> len(all) << len(all); rest != 0 || set == 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return strings.Join(names, ",")
}
