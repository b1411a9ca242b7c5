package checksum

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestFinishRefusesAndLeavesAsItWas(t *testing.T) {
	const (
		v4 = "45000000 00004000 4011 0000 c0000201c0000202"
		v6 = "20010db8000000000000000000000001 20010db8000000000000000000000002"
	)
	tests := []struct {
		name, packet string
		zeros        int // after the packet
		want         error
	}{
		{"nothing", "", 0, ErrNotIP},
		{"ARP", "0001080006040001", 20, ErrNotIP},
		{"IPv4, 19 bytes", "45000000", 15, ErrBadHeader},
		{"IPv4, 65,536 bytes", v4, 0x10000 - 20, ErrBadHeader},
		{"IPv4, header length 16", strings.Replace(v4, "45", "44", 1), 8, ErrBadHeader},
		{"IPv4, header beyond the end", strings.Replace(v4, "45", "46", 1), 3, ErrBadHeader},
		{"UDP, 7 bytes", v4, 7, ErrBadHeader},
		{"TCP, 19 bytes", strings.Replace(v4, "4011", "4006", 1), 19, ErrBadHeader},
		{"ICMP, 7 bytes", strings.Replace(v4, "4011", "4001", 1), 7, ErrBadHeader},
		{"SCTP, 11 bytes", strings.Replace(v4, "4011", "4084", 1), 11, ErrBadHeader},
		{"UDP-Lite, coverage 7", strings.Replace(v4, "4011", "4088", 1) + "00010002 0007 0000", 8, ErrBadHeader},
		{"UDP-Lite, coverage beyond the end", strings.Replace(v4, "4011", "4088", 1) + "00010002 0011 0000", 8, ErrBadHeader},
		{"source route with UDP", strings.Replace(v4, "45", "48", 1) + "830b04c0000204c000020200", 8, ErrBadHeader},
		{"strict source route behind a no-op", strings.Replace(v4, "45", "48", 1) + "01890b04c0000204c0000202", 8, ErrBadHeader},
		{"IPv6, 39 bytes", "60000000", 35, ErrBadHeader},
		{"IPv6, 65,536 bytes", "60000000 0000 1140" + v6, 0x10000, ErrBadHeader},
		{"IPv6, extension header cut short", "60000000 0000 0040" + v6 + "1101000000000000", 4, ErrBadHeader},
		{"IPv6, extension header missing", "60000000 0000 3c40" + v6, 0, ErrBadHeader},
		{"IPv6, jumbogram", "60000000 0000 0040" + v6 + "1100c20400010000", 8, ErrBadHeader},
		{"IPv6, routing header of an unknown type", "60000000 0000 2b40" + v6 + "1102030100000000", 16 + 8, ErrBadHeader},
		{"IPv6, routing header without an address", "60000000 0000 2b40" + v6 + "1100000100000000", 8, ErrBadHeader},
		{"ICMPv6, 7 bytes", "60000000 0000 3a40" + v6, 7, ErrBadHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := append(unhex(t, tt.packet), make([]byte, tt.zeros)...)
			before := bytes.Clone(b)
			err := Finish(b)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "WithRawPayload") {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if !bytes.Equal(b, before) {
				t.Error("the packet was written to")
			}
		})
	}
}

func TestChecksumOKRefusesBadLengths(t *testing.T) {
	tests := []struct {
		name string
		edit func(b []byte) []byte // of the IPv4 packet with UDP
	}{
		{"shorter than its total length", func(b []byte) []byte { return b[:len(b)-1] }},
		{"total length within the header", func(b []byte) []byte { b[2], b[3] = 0, 19; return b }},
		{"header length 16", func(b []byte) []byte { b[0] = 0x44; return b }},
		{"no room for UDP's header", func(b []byte) []byte { Finish(b); b[3], b[11] = 27, b[11]+4; return b }},
		{"UDP length beyond the end", func(b []byte) []byte { b[25]++; b[27]--; return b }},
		{"UDP length below its header", func(b []byte) []byte { b[25] = 7; return b }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if b := tt.edit(unhex(t, linuxPackets[0].packet)); OK(b) {
				t.Errorf("% x is OK", b)
			}
		})
	}
}

func TestChecksumOKLetsPassWhatItCannotJudge(t *testing.T) {
	const v6 = "20010db800000000000000000000000120010db8000000000000000000000002"
	tests := []struct {
		name, packet string
	}{
		{"nothing", ""},
		{"ARP", "0001080006040001"},
		{"UDP without a checksum", "4500001f51a9400040116521c0000201c0000202 12340009000b0000 6f6464"},
		{"UDP without a checksum, IPv6", "6002e939000b1140" + v6 + "12340009000b0000 6f6464"},
		{"UDP with bytes after it", "4500002151a940004011651fc0000201c0000202 12340009000b9632 6f6464ffff"},
		{"padding of the link layer", "4500001f51a9400040116521c0000201c0000202 12340009000b9632 6f6464 0000000000ff"},
		{"source route under way", "4800002bfd8f40004011279ec0000201c0000203 830b04c0000204c000020200 12340009000b9631 6f6464"},
		{"unknown routing type under way", "6000000000232b40" + v6 + "1102030100000000" + v6[:32] + "12340009000bffff 6f6464"},
	}
	for _, tt := range tests {
		if !OK(unhex(t, tt.packet)) {
			t.Errorf("%s is not OK", tt.name)
		}
	}
}

// With UDP-Lite, unlike UDP, a checksum of zero is illegal.
func TestChecksumOKRefusesUDPLiteWithoutChecksum(t *testing.T) {
	b := unhex(t, "45000023e16a40004088d4e4c0000201c0000202 12340009000f0000 636f7665726564")
	if OK(b) {
		t.Error("it is OK")
	}
}
