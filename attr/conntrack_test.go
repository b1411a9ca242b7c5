package attr_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// captured returns the attributes in a file of testdata/conntrack, in this
// machine's byte order.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "conntrack", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	b, rest := parse(t, lines, "")
	if len(rest) > 0 {
		t.Fatalf("%s: %d lines left", name, len(rest))
	}
	return b
}

// parse reads lines of "type value name" for as long as they are indented as
// told. Those inside a nest are indented by two more.
func parse(t testing.TB, lines []string, indent string) (b []byte, rest []string) {
	t.Helper()
	for len(lines) > 0 {
		line, ok := strings.CutPrefix(lines[0], indent)
		if !ok {
			break
		}
		lines = lines[1:]
		fields := strings.Fields(line)
		typ, err := strconv.ParseUint(fields[0], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		var value []byte
		if fields[1] == "nest" {
			typ |= 0x8000
			value, lines = parse(t, lines, indent+"  ")
		} else if labels, ok := strings.CutPrefix(fields[1], "labels="); ok {
			value = labelWords(t, labels)
		} else if value, err = hex.DecodeString(fields[1]); err != nil {
			t.Fatal(err)
		}
		b = append(b, testkit.List(testkit.TLV(uint16(typ), value...))...)
	}
	return b, lines
}

// labelWords makes the kernel's bitmap, an array of unsigned long.
func labelWords(t testing.TB, numbers string) []byte {
	t.Helper()
	words := make([]uint, 128/bits.UintSize)
	for s := range strings.SplitSeq(numbers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		words[n/bits.UintSize] |= 1 << (n % bits.UintSize)
	}
	var b []byte
	for _, w := range words {
		if bits.UintSize == 64 {
			b = binary.NativeEndian.AppendUint64(b, uint64(w))
		} else {
			b = binary.NativeEndian.AppendUint32(b, uint32(w))
		}
	}
	return b
}

func TestConntrackDecodesCaptured(t *testing.T) {
	for name, want := range connections() {
		t.Run(name, func(t *testing.T) {
			var got attr.Conntrack
			if err := got.Decode(captured(t, name)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got.SourceNAT() || got.DestinationNAT() != (name == "tcp-dnat") {
				t.Errorf("source NAT %t, destination NAT %t", got.SourceNAT(), got.DestinationNAT())
			}
		})
	}
}

func TestConntrackDecodesTheRest(t *testing.T) {
	var c attr.Conntrack
	err := c.Decode(testkit.List(
		testkit.TLV(0x8013, testkit.List(testkit.TLV(1, []byte("system_u:object_r:x\x00")...))...),
		testkit.TLV(0x8014, testkit.List(testkit.TLV(1, 0, 0, 0, 0, 0, 0, 0, 1), testkit.TLV(2, 0, 0, 0, 0, 0, 0, 0, 2))...),
		testkit.TLV(0x8005, testkit.List(testkit.TLV(1, []byte("dhcpv6\x00")...), testkit.TLV(2, 7, 8, 9))...),
		testkit.TLV(3, 0, 0, 0, 0x10),
		testkit.TLV(99, 1),
	))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.SecurityContext); got != "system_u:object_r:x" {
		t.Errorf("security context %q", got)
	}
	if c.Start.UnixNano() != 1 || c.Stop.UnixNano() != 2 {
		t.Errorf("from %v to %v", c.Start, c.Stop)
	}
	if string(c.Helper) != "dhcpv6" || !bytes.Equal(c.HelperInfo, []byte{7, 8, 9}) {
		t.Errorf("helper %q, %x", c.Helper, c.HelperInfo)
	}
	if !c.SourceNAT() || c.HasMark || c.Counted {
		t.Errorf("got %+v", c)
	}
}

// Each protocol's information goes to its own field, every part of it.
func TestConntrackDecodesProtocols(t *testing.T) {
	for name, c := range map[string]struct {
		info []byte
		want attr.Conntrack
	}{
		"TCP": {
			testkit.TLV(0x8001, testkit.List(testkit.TLV(1, 4), testkit.TLV(2, 7), testkit.TLV(3, 14), testkit.TLV(4, 0x07, 0), testkit.TLV(5, 0xf8, 0))...),
			attr.Conntrack{TCP: attr.TCPInfo{
				State: attr.TCPFinWait, OriginalScale: 7, ReplyScale: 14,
				OriginalFlags: 0x07,
				ReplyFlags:    0xf8,
			}},
		},
		"SCTP": {
			testkit.TLV(0x8003, testkit.List(testkit.TLV(1, 4), testkit.TLV(2, 1, 2, 3, 4), testkit.TLV(3, 5, 6, 7, 8))...),
			attr.Conntrack{SCTP: attr.SCTPInfo{State: attr.SCTPEstablished, OriginalTag: 0x01020304, ReplyTag: 0x05060708}},
		},
		"DCCP": {
			testkit.TLV(0x8002, testkit.List(testkit.TLV(1, 3), testkit.TLV(2, 1), testkit.TLV(3, 0, 0, 1, 2, 3, 4, 5, 6))...),
			attr.Conntrack{DCCP: attr.DCCPInfo{State: attr.DCCPPartOpen, OriginalIsServer: true, HandshakeSeq: 0x010203040506}},
		},
		"DCCP, seen from its beginning": {
			testkit.TLV(0x8002, testkit.List(testkit.TLV(1, 1), testkit.TLV(2, 0))...),
			attr.Conntrack{DCCP: attr.DCCPInfo{State: attr.DCCPRequest}},
		},
		"flags cut short": {testkit.TLV(0x8001, testkit.List(testkit.TLV(1, 4), testkit.TLV(4, 7))...), attr.Conntrack{}},
	} {
		var got attr.Conntrack
		in := testkit.List(testkit.TLV(0x8004, c.info...))
		if err := got.Decode(in); (err != nil) != (name == "flags cut short") {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if name != "flags cut short" {
			noAllocs(t, name, func() { _ = got.Decode(in) })
		}
	}
}

// A connection whose first packet has not left has no start yet, which the
// kernel tells as 0.
func TestNewConnectionHasNoStart(t *testing.T) {
	for name, in := range map[string][]byte{
		"0":       testkit.List(testkit.TLV(1, 0, 0, 0, 0, 0, 0, 0, 0), testkit.TLV(2, 0, 0, 0, 0, 0, 0, 0, 0)),
		"nothing": nil,
	} {
		c := attr.Conntrack{}
		if err := c.Decode(testkit.List(testkit.TLV(0x8014, in...))); err != nil {
			t.Fatal(err)
		}
		if !c.Start.IsZero() || !c.Stop.IsZero() {
			t.Errorf("%s: from %v to %v", name, c.Start, c.Stop)
		}
	}
}

func TestConntrackRefusesShortValues(t *testing.T) {
	const text = "conntrack: inside type 1: inside type 2: malformed attribute: type 3 has 1 bytes, not 2"
	c := attr.Conntrack{ID: 7}
	err := c.Decode(testkit.List(testkit.TLV(12, 0, 0, 0, 1), testkit.TLV(0x8001, testkit.List(testkit.TLV(0x8002, testkit.List(testkit.TLV(3, 1))...))...)))
	if err == nil || err.Error() != text {
		t.Errorf("got %v, want %s", err, text)
	}
	if !reflect.DeepEqual(c, attr.Conntrack{}) {
		t.Errorf("after an error: %+v", c)
	}
}

// Cut off anywhere, or with zeros anywhere, a connection is decoded or an error.
func TestConntrackSurvivesDamage(t *testing.T) {
	for name := range connections() {
		in := captured(t, name)
		for i := range in {
			var c attr.Conntrack
			if err := c.Decode(in[:i]); err != nil && !errors.Is(err, attr.ErrMalformed) {
				t.Fatal(err)
			}
			cut := bytes.Clone(in)
			copy(cut[i:], make([]byte, 4))
			if err := c.Decode(cut); err != nil && !errors.Is(err, attr.ErrMalformed) {
				t.Fatal(err)
			}
		}
	}
}

func FuzzConntrack(f *testing.F) {
	for name := range connections() {
		f.Add(captured(f, name))
	}
	f.Add(testkit.List(testkit.TLV(0x8004, testkit.List(testkit.TLV(0x8003, testkit.List(testkit.TLV(1, 4), testkit.TLV(2, 1, 2, 3, 4), testkit.TLV(3, 5, 6, 7, 8))...))...)))    // SCTP
	f.Add(testkit.List(testkit.TLV(0x8004, testkit.List(testkit.TLV(0x8002, testkit.List(testkit.TLV(1, 3), testkit.TLV(2, 1), testkit.TLV(3, 0, 0, 1, 2, 3, 4, 5, 6))...))...))) // DCCP
	f.Add(testkit.List(testkit.TLV(0x8005, testkit.List(testkit.TLV(1, []byte("dhcpv6\x00")...), testkit.TLV(2, 7, 8, 9))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var c attr.Conntrack
		err := c.Decode(b)
		if err != nil && (!errors.Is(err, attr.ErrMalformed) || !reflect.DeepEqual(c, attr.Conntrack{})) {
			t.Fatalf("%v, %+v", err, c)
		}
		if cap(c.Helper) != len(c.Helper) || cap(c.HelperInfo) != len(c.HelperInfo) || cap(c.SecurityContext) != len(c.SecurityContext) {
			t.Fatal("a slice goes on into the next attribute")
		}
		_, _, _ = c.Original.String(), c.Status.String(), c.TCP.State.String()+c.TCP.ReplyFlags.String()+c.SCTP.State.String()+c.DCCP.State.String()
		if !bytes.Equal(b, before) {
			t.Fatal("input was written to")
		}
	})
}
