package ipheader

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	addresses4 = "c0000201 c0000202"
	addresses6 = "20010db8000000000000000000000001 20010db8000000000000000000000002"
	udpHello   = "12340009 000d0000 68656c6c6f"
	tcpHello   = "12340009 00000001 00000002 6018 0100 0000 0000 01010101 68656c6c6f"
)

// A want is what a test expects of a packet.
type want struct {
	protocol        uint8
	length, end     int
	transport, data int
	offset          int
	more            bool
}

func TestHeadersAreWalkedToTheTransport(t *testing.T) {
	tests := []struct {
		name, packet string
		want
	}{
		{"UDP", "45000021 00004000 4011 0000" + addresses4 + udpHello, want{UDP, 33, 33, 20, 28, 0, false}},
		{"TCP with options", "45000031 00004000 4006 0000" + addresses4 + tcpHello, want{TCP, 49, 49, 20, 44, 0, false}},
		{"IPv4 options", "46000025 00004000 4011 0000" + addresses4 + "01010100" + udpHello, want{UDP, 37, 37, 24, 32, 0, false}},
		{"padding behind the packet", "45000014 00004000 4011 0000" + addresses4 + udpHello, want{UDP, 20, 20, 20, 0, 0, false}},
		{"padding behind a port", "45000017 00004000 4011 0000" + addresses4 + udpHello, want{UDP, 23, 23, 20, 0, 0, false}},
		{"cut", "45000021 00004000 4011 0000" + addresses4 + "1234", want{UDP, 33, 22, 20, 0, 0, false}},
		{"cut in the options", "4f000060 00004000 4011 0000" + addresses4 + "0101", want{UDP, 96, 22, 0, 0, 0, false}},
		{"length of nothing", "45000000 00004000 4011 0000" + addresses4 + udpHello, want{UDP, 0, 20, 20, 0, 0, false}},
		{"BIG TCP", "45000000 00004000 4006 0000" + addresses4 + tcpHello, want{TCP, 0, 49, 20, 44, 0, false}},
		{"first fragment", "45000021 00002000 4011 0000" + addresses4 + udpHello, want{UDP, 33, 33, 20, 28, 0, true}},
		{"last fragment", "45000021 000000b9 4011 0000" + addresses4 + udpHello, want{UDP, 33, 33, 0, 0, 1480, false}},
		{"AH is no header of IPv4's", "4500002c 00004000 4033 0000" + addresses4 + "1104000000000001 0000000100000000 00000000 00000000", want{AH, 44, 44, 20, 0, 0, false}},
		{"UDP, IPv6", "60000000 000d 1140" + addresses6 + udpHello, want{UDP, 53, 53, 40, 48, 0, false}},
		{"extension headers", "60000000 001d 0040" + addresses6 + "3c00010400000000 1100010400000000" + udpHello, want{UDP, 69, 69, 56, 64, 0, false}},
		{"a long one", "60000000 001d 2b40" + addresses6 + "1101040000000000 0000000000000000" + udpHello, want{UDP, 69, 69, 56, 64, 0, false}},
		{"AH", "60000000 0025 3340" + addresses6 + "1104000000000001 000000010102030405060708090a0b0c" + udpHello, want{UDP, 77, 77, 64, 72, 0, false}},
		{"first fragment, IPv6", "60000000 0015 2c40" + addresses6 + "1100000100000007" + udpHello, want{UDP, 61, 61, 48, 56, 0, true}},
		{"last fragment, IPv6", "60000000 0015 2c40" + addresses6 + "110005a800000007" + udpHello, want{UDP, 61, 61, 0, 0, 1448, false}},
		{"fragment of a whole datagram", "60000000 0015 2c40" + addresses6 + "1100000600000007" + udpHello, want{UDP, 61, 61, 48, 56, 0, false}},
		{"extension cut behind its number", "60000000 001d 0040" + addresses6 + "3c01010400000000", want{Destinations, 69, 48, 0, 0, 0, false}},
		{"extension cut before its length", "60000000 001d 0040" + addresses6 + "3c", want{HopByHop, 69, 41, 0, 0, 0, false}},
		{"extension that ends behind the packet", "60000000 0008 0040" + addresses6 + "1101010400000000" + udpHello, want{UDP, 48, 48, 0, 0, 0, false}},
		{"padding, IPv6", "60000000 0000 1140" + addresses6 + "123400090000", want{UDP, 0, 40, 40, 0, 0, false}},
		{"nothing follows", "60000000 0000 3b40" + addresses6 + "000000000000", want{NoNext, 40, 40, 40, 0, 0, false}},
		{"BIG TCP, IPv6", "60000000 0000 0640" + addresses6 + tcpHello, want{TCP, 0, 69, 40, 64, 0, false}},
		{"BIG TCP, jumbo", "60000000 0000 0040" + addresses6 + "0600c20400011000" + tcpHello, want{TCP, 0, 77, 48, 72, 0, false}},
		{"DCCP", "45000024 00004000 4021 0000" + addresses4 + "12340009 04000000 0000000000000000", want{DCCP, 36, 36, 20, 36, 0, false}},
		{"SCTP", "45000020 00004000 4084 0000" + addresses4 + "12340009 00000000 00000000", want{SCTP, 32, 32, 20, 32, 0, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.packet)
			h, ok := Parse(b)
			if !ok {
				t.Fatal("no header")
			}
			at, _ := h.Data(b)
			got := want{h.Protocol, h.Length, h.End, h.Transport, at, h.FragmentOffset, h.MoreFragments}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestWhatIsNoIPHeaderIsNone(t *testing.T) {
	for _, s := range []string{"", "00", "45", "44000014 00004000 4011 0000" + addresses4, "60000000 0000 1140", "75000014 00004000 4011 0000" + addresses4} {
		if h, ok := Parse(unhex(t, s)); ok {
			t.Errorf("%s: %+v", s, h)
		}
	}
}

// FuzzParse checks that offsets stay in order and within the packet, and that
// bytes behind its end make no difference.
func FuzzParse(f *testing.F) {
	f.Add(unhex(f, "46000025 00004000 4011 0000"+addresses4+"01010100"+udpHello), []byte("pad"))
	f.Add(unhex(f, "60000000 0025 3340"+addresses6+"1104000000000001 000000010102030405060708090a0b0c"+udpHello), []byte("pad"))
	f.Add(unhex(f, "60000000 0015 2c40"+addresses6+"110005a800000007"+udpHello), []byte("pad"))
	f.Fuzz(func(t *testing.T, b, more []byte) {
		h, ok := Parse(b)
		if !ok {
			return
		}
		at, known := h.Data(b)
		if h.End > len(b) || h.Transport > h.End || known && (at < h.Transport || at > h.End) {
			t.Fatalf("%+v, data at %d, of %d bytes", h, at, len(b))
		}
		if h.Length == 0 || h.Length > len(b) { // what follows may belong to it
			return
		}
		if longer, _ := Parse(append(bytes.Clone(b), more...)); longer.Transport != h.Transport || longer.Protocol != h.Protocol || longer.End != h.End {
			t.Fatalf("%+v, and with bytes behind it %+v", h, longer)
		}
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	b := unhex(t, "60000000 001d 0040"+addresses6+"3c00010400000000 1100010400000000"+udpHello)
	if n := testing.AllocsPerRun(100, func() {
		if h, ok := Parse(b); !ok || h.Transport != 56 {
			t.Error("not parsed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
