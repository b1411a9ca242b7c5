//go:build linux

package nfpacket

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
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

// Captured messages must have every attribute in both byte orders, and none that
// is not known here. The bytes are walked without the library's decoder.
func TestCapturedMessagesHaveEveryAttribute(t *testing.T) {
	packetTypes := map[string]uint16{"nfqueue": 0x0300, "nflog": 0x0400}
	for pkg, names := range sent {
		files, err := filepath.Glob(filepath.Join(pkg, "testdata", "captured", "*", "*.pcap"))
		must(t, err)
		seen := map[binary.ByteOrder]map[uint16]bool{binary.LittleEndian: {}, binary.BigEndian: {}}
		for _, file := range files {
			b, err := os.ReadFile(file)
			must(t, err)
			order := pcapOrder(b)
			for _, typ := range packetAttributes(order, b, packetTypes[pkg]) {
				seen[order][typ] = true
				if names[typ] == "" {
					t.Errorf("%s has attribute %d", file, typ)
				}
			}
		}
		for order, types := range seen {
			for typ, name := range names {
				if !types[typ] {
					t.Errorf("%s: no captured message in %v has %s", pkg, order, name)
				}
			}
		}
	}
}

// pcapOrder returns the byte order of the machine that wrote a file.
func pcapOrder(b []byte) binary.ByteOrder {
	if binary.BigEndian.Uint32(b) == 0xa1b2c3d4 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// packetAttributes returns the types of the attributes of all messages of one
// type in a file.
func packetAttributes(order binary.ByteOrder, b []byte, packetType uint16) (types []uint16) {
	const fileHeader, recordHeader, cookedHeader, messageHeader = 24, 16, 16, 20
	const typeMask = 0x3fff // without the flags for nests and byte order
	for b = b[fileHeader:]; len(b) > 0; {
		length := order.Uint32(b[8:])
		datagram := b[recordHeader:][cookedHeader:length]
		b = b[recordHeader+length:]
		for len(datagram) >= messageHeader {
			length := int(order.Uint32(datagram))
			if order.Uint16(datagram[4:]) == packetType {
				for attrs := datagram[messageHeader:length]; len(attrs) >= 4; attrs = attrs[min(align4(int(order.Uint16(attrs))), len(attrs)):] {
					types = append(types, order.Uint16(attrs[2:])&typeMask)
				}
			}
			datagram = datagram[min(align4(length), len(datagram)):]
		}
	}
	return types
}

func align4(n int) int { return (n + 3) &^ 3 }
