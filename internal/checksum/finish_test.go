package checksum

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// unhex returns the bytes written in s, which may have spaces for the reader.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A finished packet is one with nothing left to do.
type finished struct {
	name   string
	packet string // in hex, with a space where a header ends
	set    []int  // offsets of the 16-bit fields Finish sets
}

// linuxPackets are what Linux 6.18 sent through a tun device without offloads.
var linuxPackets = []finished{
	{"UDP", "4500001f51a9400040116521c0000201c0000202 12340009000b9632 6f6464", []int{2, 10, 24, 26}},
	{"UDP, even length", "4500002051cf4000401164fac0000201c0000202 12340009000c9eb0 6576656e", []int{2, 10, 24, 26}},
	{"UDP, IPv6", "6002e939000b114020010db800000000000000000000000120010db8000000000000000000000002 12340009000bbec1 6f6464", []int{4, 44, 46}},
	{"UDP, record route", "470000275261400040119850c0000201c0000202 01070708c0000201 12340009000b9632 6f6464", []int{2, 10, 32, 34}},
	{"UDP, hop-by-hop options", "6002e9390013004020010db800000000000000000000000120010db8000000000000000000000002 1100050200000100 12340009000bbec1 6f6464", []int{4, 52, 54}},
	{"UDP, destination options", "6002e93900133c4020010db800000000000000000000000120010db8000000000000000000000002 1100010400000000 12340009000bbec1 6f6464", []int{4, 52, 54}},
	{"UDP, segment routing", "6002e93900332b4020010db800000000000000000000000120010db8000000000000000000000004 110404010100000020010db800000000000000000000000220010db8000000000000000000000004 12340009000bbec1 6f6464", []int{4, 84, 86}},
	{"UDP-Lite", "45000023e16a40004088d4e4c0000201c0000202 12340009000fb8dd 636f7665726564", []int{2, 10, 26}},
	{"UDP-Lite, header and 2 bytes", "45000023e17f40004088d4cfc0000201c0000202 12340009000a05ae 636f7665726564", []int{2, 10, 26}},
	{"UDP-Lite, header, IPv6", "600f6660000f884020010db800000000000000000000000120010db8000000000000000000000002 12340009000891ae 636f7665726564", []int{4, 46}},
	{"TCP", "4500003c43bc4000400672fcc0000201c0000202 12340009d1b6600e00000000a002fbe0c4ad0000 020404d80402080a6705593f000000000103030a", []int{2, 10, 36}},
	{"TCP, IPv6", "6000bd020028064020010db800000000000000000000000120010db8000000000000000000000002 12340009b0e4e63200000000a002fc9466130000 020404c40402080a54998ce2000000000103030a", []int{4, 56}},
	{"ICMP", "4500001fa4fe4000400111dcc0000201c0000202 0800126612340001 6f6464", []int{2, 10, 22}},
	{"ICMPv6", "60090b1d000b3a4020010db800000000000000000000000120010db8000000000000000000000002 80003eab12340001 6f6464", []int{4, 42}},
}

// rarePackets were made by hand, their checksums with another implementation.
var rarePackets = []finished{
	{"SCTP", "45000034000040004084b642c0000201c0000202 12340009000000006f1e75c1 010000140000002a0000ffff000a000a00000001", []int{2, 10, 28, 30}},
	{"SCTP, IPv6", "600000000020844020010db800000000000000000000000120010db8000000000000000000000002 12340009000000006f1e75c1 010000140000002a0000ffff000a000a00000001", []int{4, 48, 50}},
	{"source route at its end", "4700002700004000401124f9c0000201c0000202 830708c000020400 12340009000b9632 6f6464", []int{2, 10, 32, 34}},
	{"routing type 0", "6000000000332b4020010db800000000000000000000000120010db8000000000000000000000002 110400020000000020010db800000000000000000000000420010db8000000000000000000000005 12340009000bbebe 6f6464", []int{4, 84, 86}},
	{"routing type 2", "6000000000232b4020010db800000000000000000000000120010db8000000000000000000000002 110202010000000020010db8000000000000000000000009 12340009000bbeba 6f6464", []int{4, 68, 70}},
	{"unknown routing type at its end", "6000000000232b4020010db800000000000000000000000120010db8000000000000000000000002 110203000000000020010db8000000000000000000000009 12340009000bbec1 6f6464", []int{4, 68, 70}},
	{"home address option", "6000000000233c4020010db800000000000000000000000120010db8000000000000000000000002 110201020000c91020010db8000000000000000000000007 12340009000bbebb 6f6464", []int{4, 68, 70}},
	{"home address option behind others", "60000000002b3c4020010db800000000000000000000000120010db8000000000000000000000002 1103000004061122334455660100c91020010db8000000000000000000000007 12340009000bbebb 6f6464", []int{4, 76, 78}},
	{"option beyond its header, IPv6", "6000000000133c4020010db800000000000000000000000120010db8000000000000000000000002 1100040700000000 12340009000bbec1 6f6464", []int{4, 52, 54}},
	{"option beyond its header", "46000023000040004011af3fc0000201c0000202 01830504 12340009000b9632 6f6464", []int{2, 10, 28, 30}},
	{"fragment header on a whole datagram", "6002e93900132c4020010db800000000000000000000000120010db8000000000000000000000002 11000000d61354ee 12340009000bbec1 6f6464", []int{4, 52, 54}},
}

func TestFinishSetsLengthsAndChecksums(t *testing.T) {
	for _, tt := range slices.Concat(linuxPackets, rarePackets) {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.packet)
			got := bytes.Clone(want)
			for _, i := range tt.set {
				got[i], got[i+1] = 0xab, 0xcd
			}
			if OK(got) {
				t.Error("OK before")
			}
			if err := Finish(got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got  % x\nwant % x", got, want)
			}
			if !OK(got) || !Sets(got) {
				t.Errorf("OK %t, finishable %t", OK(got), Sets(got))
			}
		})
	}
}

func TestChecksumOKFindsFlippedBits(t *testing.T) {
	for _, tt := range linuxPackets {
		if strings.Contains(tt.name, "UDP-Lite") {
			continue // its checksum leaves bytes out
		}
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.packet)
			h, err := parseHeaders(b)
			if err != nil {
				t.Fatal(err)
			}
			for i := h.offset * 8; i < len(b)*8; i++ {
				b[i/8] ^= 1 << (i % 8)
				if OK(b) {
					t.Errorf("byte %d, bit %d flipped unnoticed", i/8, i%8)
				}
				b[i/8] ^= 1 << (i % 8)
			}
		})
	}
}

func TestChecksumOKFindsBadIPv4Headers(t *testing.T) {
	b := unhex(t, "4500001800004000402fb6b3c0000201c0000202 00000800")
	for i := 8; i < 20*8; i++ { // before that is the header's length
		if i/8 == 6 || i/8 == 7 {
			continue // makes it a fragment, which is tried too
		}
		b[i/8] ^= 1 << (i % 8)
		if OK(b) {
			t.Errorf("byte %d, bit %d flipped unnoticed", i/8, i%8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestFinishLeavesFragmentsTransportChecksumAlone(t *testing.T) {
	const v6 = "20010db800000000000000000000000120010db8000000000000000000000002"
	tests := []struct {
		name, packet string
		fill         int // bytes of 'x' after it
	}{
		{"first", "450004fc526d200040117f80c0000201c0000202 12340009051c7d93", 1248},
		{"last", "45000048526d009d4011a397c0000201c0000202", 52},
		{"first, IPv6", "6002e93904d82c40" + v6 + "11000001d61354ee 12340009051ca722", 1224},
		{"last, IPv6", "6002e93900542c40" + v6 + "110004d0d61354ee", 76},
		{"last, shorter than the header, IPv6", "6002e939000c2c40" + v6 + "110004d0d61354ee", 4},
		{"last, of an extension header, IPv6", "6002e939000c2c40" + v6 + "3c0004d0d61354ee", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			finishesIPHeaderOnly(t, append(unhex(t, tt.packet), strings.Repeat("x", tt.fill)...))
		})
	}
}

func TestFinishLeavesOtherProtocolsAlone(t *testing.T) {
	const v6 = "20010db800000000000000000000000120010db8000000000000000000000002"
	tests := []struct {
		name, packet string
	}{
		{"GRE", "4500001800004000402fb6b3c0000201c0000202 00000800"},
		{"ESP", "4500001c000040004032b6acc0000201c0000202 0000000100000001"},
		{"AH before UDP", "45000034000040004033b693c0000201c0000202 1104000000000001000000010102030405060708090a0b0c 1234000900080000"},
		{"ICMPv6 in IPv4", "4500001c00004000403ab6a4c0000201c0000202 8000000000010001"},
		{"ICMP in IPv6", "6000000000080140" + v6 + "0800000000010001"},
		{"no next header, IPv6", "6000000000003b40" + v6},
		{"AH before UDP, IPv6", "6000000000203340" + v6 + "1104000000000001000000010102030405060708090a0b0c 1234000900080000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			finishesIPHeaderOnly(t, unhex(t, tt.packet))
		})
	}
}

// finishesIPHeaderOnly checks that of packet, which is right as it is, the
// length and the checksum in the IP header are set and nothing else.
func finishesIPHeaderOnly(t *testing.T, packet []byte) {
	t.Helper()
	got := bytes.Clone(packet)
	if got[0]>>4 == 4 {
		copy(got[2:], "\xff\xff")
		copy(got[10:], "\xff\xff")
	} else {
		copy(got[4:], "\xff\xff")
	}
	if err := Finish(got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, packet) {
		t.Errorf("got  % x\nwant % x", got, packet)
	}
	if Sets(got) || !OK(got) {
		t.Errorf("finishable %t, OK %t", Sets(got), OK(got))
	}
}
