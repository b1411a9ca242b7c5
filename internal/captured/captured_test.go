package captured_test

import (
	"encoding/binary"
	"path"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/captured"
)

// sent names the attributes that the kernel sends in packets, by the package
// whose captured messages must have them. It leaves out what is for verdicts
// alone (NFQA_VERDICT_HDR, NFQA_EXP).
var sent = map[string]map[uint16]string{
	"nfqueue": { // linux/netfilter/nfnetlink_queue.h
		1: "NFQA_PACKET_HDR", 3: "NFQA_MARK", 4: "NFQA_TIMESTAMP", 5: "NFQA_IFINDEX_INDEV", 6: "NFQA_IFINDEX_OUTDEV",
		7: "NFQA_IFINDEX_PHYSINDEV", 8: "NFQA_IFINDEX_PHYSOUTDEV", 9: "NFQA_HWADDR", 10: "NFQA_PAYLOAD", 11: "NFQA_CT",
		12: "NFQA_CT_INFO", 13: "NFQA_CAP_LEN", 14: "NFQA_SKB_INFO", 16: "NFQA_UID", 17: "NFQA_GID", 18: "NFQA_SECCTX",
		19: "NFQA_VLAN", 20: "NFQA_L2HDR", 21: "NFQA_PRIORITY", 22: "NFQA_CGROUP_CLASSID",
	},
	"nflog": { // linux/netfilter/nfnetlink_log.h
		1: "NFULA_PACKET_HDR", 2: "NFULA_MARK", 3: "NFULA_TIMESTAMP", 4: "NFULA_IFINDEX_INDEV", 5: "NFULA_IFINDEX_OUTDEV",
		6: "NFULA_IFINDEX_PHYSINDEV", 7: "NFULA_IFINDEX_PHYSOUTDEV", 8: "NFULA_HWADDR", 9: "NFULA_PAYLOAD", 10: "NFULA_PREFIX",
		11: "NFULA_UID", 12: "NFULA_SEQ", 13: "NFULA_SEQ_GLOBAL", 14: "NFULA_GID", 15: "NFULA_HWTYPE", 16: "NFULA_HWHEADER",
		17: "NFULA_HWLEN", 18: "NFULA_CT", 19: "NFULA_CT_INFO", 20: "NFULA_VLAN", 21: "NFULA_L2HDR",
	},
}

// sentInNests names what the kernel sends in attributes that have attributes. It
// leaves out what no rule here brings about: CTA_HELP_INFO, which is of helpers in
// user space, CTA_TUPLE_ZONE, of zones for one direction, and CTA_TIMESTAMP_STOP,
// of connections that have ended.
var sentInNests = map[string]map[uint16]string{
	"VLAN": {1: "NFQA_VLAN_PROTO", 2: "NFQA_VLAN_TCI"}, // and NFULA_VLAN_
	"CT": { // linux/netfilter/nfnetlink_conntrack.h
		1: "CTA_TUPLE_ORIG", 2: "CTA_TUPLE_REPLY", 3: "CTA_STATUS", 4: "CTA_PROTOINFO", 5: "CTA_HELP", 7: "CTA_TIMEOUT",
		8: "CTA_MARK", 9: "CTA_COUNTERS_ORIG", 10: "CTA_COUNTERS_REPLY", 12: "CTA_ID", 14: "CTA_TUPLE_MASTER",
		15: "CTA_SEQ_ADJ_ORIG", 16: "CTA_SEQ_ADJ_REPLY", 18: "CTA_ZONE", 19: "CTA_SECCTX", 20: "CTA_TIMESTAMP", 22: "CTA_LABELS",
		24: "CTA_SYNPROXY",
	},
	"CTA_TUPLE":    {1: "CTA_TUPLE_IP", 2: "CTA_TUPLE_PROTO"},
	"CTA_TUPLE_IP": {1: "CTA_IP_V4_SRC", 2: "CTA_IP_V4_DST", 3: "CTA_IP_V6_SRC", 4: "CTA_IP_V6_DST"},
	"CTA_TUPLE_PROTO": {
		1: "CTA_PROTO_NUM", 2: "CTA_PROTO_SRC_PORT", 3: "CTA_PROTO_DST_PORT", 4: "CTA_PROTO_ICMP_ID", 5: "CTA_PROTO_ICMP_TYPE",
		6: "CTA_PROTO_ICMP_CODE", 7: "CTA_PROTO_ICMPV6_ID", 8: "CTA_PROTO_ICMPV6_TYPE", 9: "CTA_PROTO_ICMPV6_CODE",
	},
	"CTA_PROTOINFO": {1: "CTA_PROTOINFO_TCP", 2: "CTA_PROTOINFO_DCCP", 3: "CTA_PROTOINFO_SCTP"},
	"CTA_PROTOINFO_TCP": {
		1: "CTA_PROTOINFO_TCP_STATE", 2: "CTA_PROTOINFO_TCP_WSCALE_ORIGINAL", 3: "CTA_PROTOINFO_TCP_WSCALE_REPLY",
		4: "CTA_PROTOINFO_TCP_FLAGS_ORIGINAL", 5: "CTA_PROTOINFO_TCP_FLAGS_REPLY",
	},
	"CTA_PROTOINFO_DCCP": {1: "CTA_PROTOINFO_DCCP_STATE", 2: "CTA_PROTOINFO_DCCP_ROLE", 3: "CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ"},
	"CTA_PROTOINFO_SCTP": {1: "CTA_PROTOINFO_SCTP_STATE", 2: "CTA_PROTOINFO_SCTP_VTAG_ORIGINAL", 3: "CTA_PROTOINFO_SCTP_VTAG_REPLY"},
	"CTA_COUNTERS":       {1: "CTA_COUNTERS_PACKETS", 2: "CTA_COUNTERS_BYTES"},
	"CTA_TIMESTAMP":      {1: "CTA_TIMESTAMP_START"},
	"CTA_HELP":           {1: "CTA_HELP_NAME"},
	"CTA_SECCTX":         {1: "CTA_SECCTX_NAME"},
	"CTA_SEQ_ADJ":        {1: "CTA_SEQADJ_CORRECTION_POS", 2: "CTA_SEQADJ_OFFSET_BEFORE", 3: "CTA_SEQADJ_OFFSET_AFTER"},
	"CTA_SYNPROXY":       {1: "CTA_SYNPROXY_ISN", 2: "CTA_SYNPROXY_ITS", 3: "CTA_SYNPROXY_TSOFF"},
}

// nestOf returns the key in sentInNests of what is in an attribute, if anything
// is. Those of both directions, and of both packages, have the same in them.
func nestOf(name string) (nest string, ok bool) {
	for _, part := range []string{"NFQA_", "NFULA_"} {
		name = strings.TrimPrefix(name, part)
	}
	for _, part := range []string{"_ORIG", "_REPLY", "_MASTER"} {
		name = strings.TrimSuffix(name, part)
	}
	_, ok = sentInNests[name]
	return name, ok
}

// Captured messages must have every attribute in both byte orders, and none that
// is not known here. The bytes are walked without the library's decoder.
func TestCapturedMessagesHaveEveryAttribute(t *testing.T) {
	const queuePacket, logPacket = 0x0300, 0x0400
	nests := map[string][]attribute{}
	for pkg, typ := range map[string]uint16{"nfqueue": queuePacket, "nflog": logPacket} {
		all := packetAttributes(t, pkg, typ)
		wantTypes(t, pkg, all, sent[pkg])
		collect(t, nests, all, sent[pkg])
	}
	for nest, names := range sentInNests {
		wantTypes(t, nest, nests[nest], names)
	}
}

// collect adds to nests what is inside of attributes, at any depth.
func collect(t *testing.T, nests map[string][]attribute, all []attribute, names map[uint16]string) {
	t.Helper()
	for _, a := range all {
		nest, ok := nestOf(names[a.typ])
		if ok != a.nested {
			t.Errorf("%s is a nest: %v here, %v in a captured message", names[a.typ], ok, a.nested)
		}
		if ok {
			in := attributes(a.order, a.value)
			nests[nest] = append(nests[nest], in...)
			collect(t, nests, in, sentInNests[nest])
		}
	}
}

// wantTypes checks that there are attributes of all types in either byte order,
// and of no others.
func wantTypes(t *testing.T, in string, all []attribute, names map[uint16]string) {
	t.Helper()
	seen := map[binary.ByteOrder]map[uint16]bool{binary.LittleEndian: {}, binary.BigEndian: {}}
	for _, a := range all {
		seen[a.order][a.typ] = true
		if names[a.typ] == "" {
			t.Errorf("%s: captured attribute %d is not known here", in, a.typ)
		}
	}
	for order, types := range seen {
		for typ, name := range names {
			if !types[typ] {
				t.Errorf("%s: no captured message in %v has %s", in, order, name)
			}
		}
	}
}

// An attribute is one of a captured message.
type attribute struct {
	order  binary.ByteOrder // of the machine it is from
	typ    uint16
	nested bool
	value  []byte
}

// attributes returns what is in a message or a nest.
func attributes(order binary.ByteOrder, b []byte) (all []attribute) {
	const header, nested, typeMask = 4, 0x8000, 0x3fff // without the flags for nests and byte order
	for len(b) >= header {
		length := int(order.Uint16(b))
		typ := order.Uint16(b[2:])
		all = append(all, attribute{order, typ & typeMask, typ&nested != 0, b[header:length]})
		b = b[min(align4(length), len(b)):]
	}
	return all
}

// packetAttributes returns the attributes of all messages of one type that a
// package has captured. It uses none of the library's decoders.
func packetAttributes(t *testing.T, pkg string, packetType uint16) (all []attribute) {
	t.Helper()
	const messageHeader = 20
	for _, f := range captured.Files(t, path.Join("../..", pkg)) {
		for _, datagram := range f.Datagrams {
			for len(datagram) >= messageHeader {
				length := int(f.Order.Uint32(datagram))
				if f.Order.Uint16(datagram[4:]) == packetType {
					all = append(all, attributes(f.Order, datagram[messageHeader:length])...)
				}
				datagram = datagram[min(align4(length), len(datagram)):]
			}
		}
	}
	return all
}

func align4(n int) int { return (n + 3) &^ 3 }
