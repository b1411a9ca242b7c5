package attr_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// only returns a Decoder that stands on the single attribute in b.
func only(t testing.TB, b []byte) attr.Decoder {
	t.Helper()
	d := attr.NewDecoder(b)
	if !d.Next() {
		t.Fatalf("no attribute in % x: %v", b, d.Err())
	}
	return d
}

type record struct {
	typ   uint16
	value string
}

func TestDecoderWalks(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want []record
	}{
		{"nothing", nil, nil},
		{"no value", testkit.TLV(1), []record{{1, ""}}},
		{"one byte", testkit.TLV(1, 'a'), []record{{1, "a"}}},
		{"two bytes", testkit.TLV(1, 'a', 'b'), []record{{1, "ab"}}},
		{"three bytes", testkit.TLV(1, 'a', 'b', 'c'), []record{{1, "abc"}}},
		{"four bytes", testkit.TLV(1, 'a', 'b', 'c', 'd'), []record{{1, "abcd"}}},
		{"last one padded", testkit.List(testkit.TLV(1, 'a')), []record{{1, "a"}}},
		{"last one padded in part", append(testkit.TLV(1, 'a'), 0), []record{{1, "a"}}},
		{"padding of what holds the list", append(testkit.List(testkit.TLV(1, 'a')), 0, 0, 0), []record{{1, "a"}}},
		{"padding is not looked at", append(testkit.TLV(1, 'a'), 9, 9, 9), []record{{1, "a"}}},
		{"padding between", testkit.List(testkit.TLV(1, 'a'), testkit.TLV(2, 'b', 'c'), testkit.TLV(3)), []record{{1, "a"}, {2, "bc"}, {3, ""}}},
		{"same type twice", testkit.List(testkit.TLV(1, 'a'), testkit.TLV(1, 'b')), []record{{1, "a"}, {1, "b"}}},
		{"type zero", testkit.TLV(0, 'a'), []record{{0, "a"}}},
		{"highest type", testkit.TLV(0x3fff), []record{{0x3fff, ""}}},
		{"nested flag", testkit.TLV(0x8001, 'a'), []record{{1, "a"}}},
		{"byte order flag", testkit.TLV(0x4001, 'a'), []record{{1, "a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []record
			d := attr.NewDecoder(tt.in)
			for d.Next() {
				got = append(got, record{d.Type(), string(d.Bytes())})
			}
			if d.Err() != nil {
				t.Fatal(d.Err())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDecoderRefusesBadLengths(t *testing.T) {
	ok := testkit.List(testkit.TLV(7, 'a'))
	tests := []struct {
		name string
		in   []byte
		want string // in the error's text
	}{
		{"length zero", header(0, 9), "type 9 has length 0 with 4 bytes left"},
		{"length below header", header(3, 9), "type 9 has length 3 with 4 bytes left"},
		{"length beyond end", header(9, 9), "type 9 has length 9 with 4 bytes left"},
		{"longest length", header(0xffff, 9), "type 9 has length 65535 with 4 bytes left"},
		{"half a header", []byte{1, 0, 0}, "3 bytes after type 7 are not an attribute"},
		{"one byte", []byte{1}, "1 bytes after type 7 are not an attribute"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := attr.NewDecoder(slices.Concat(ok, tt.in))
			if !d.Next() || d.Type() != 7 {
				t.Fatal("the attribute before the bad one is lost")
			}
			if d.Next() {
				t.Fatal("Next went on")
			}
			if !errors.Is(d.Err(), attr.ErrMalformed) || !strings.Contains(d.Err().Error(), tt.want) {
				t.Errorf("error %q, want %q", d.Err(), tt.want)
			}
			if d.Next() || d.Bytes() != nil {
				t.Error("there is something after the error")
			}
		})
	}
}

// header returns an attribute's header that says what it is told to say.
func header(length, typ uint16) []byte {
	b := binary.NativeEndian.AppendUint16(nil, length)
	return binary.NativeEndian.AppendUint16(b, typ)
}

func TestDecoderIntegers(t *testing.T) {
	bits := map[string]struct {
		size int
		get  func(*attr.Decoder) uint64
	}{
		"Uint8":  {1, func(d *attr.Decoder) uint64 { return uint64(d.Uint8()) }},
		"Uint16": {2, func(d *attr.Decoder) uint64 { return uint64(d.Uint16()) }},
		"Uint32": {4, func(d *attr.Decoder) uint64 { return uint64(d.Uint32()) }},
		"Uint64": {8, func(d *attr.Decoder) uint64 { return d.Uint64() }},
	}
	value := []byte{0x81, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for name, tt := range bits {
		t.Run(name, func(t *testing.T) {
			for n := range len(value) {
				d := only(t, testkit.TLV(5, value[:n]...))
				got, want := tt.get(&d), uint64(0)
				if n >= tt.size {
					for _, c := range value[:tt.size] {
						want = want<<8 | uint64(c)
					}
				}
				if got != want {
					t.Errorf("%d bytes: got %#x, want %#x", n, got, want)
				}
				if (d.Err() != nil) != (n < tt.size) {
					t.Errorf("%d bytes: error %v", n, d.Err())
				}
			}
		})
	}
}

func TestDecoderKeepsFirstError(t *testing.T) {
	d := only(t, testkit.List(testkit.TLV(5, 1), testkit.TLV(6, 1)))
	d.Uint32()
	d.Uint64()
	if d.Next() {
		t.Error("Next went on after an error")
	}
	const want = "malformed attribute: type 5 has 1 bytes, not 4"
	if d.Err() == nil || d.Err().Error() != want {
		t.Errorf("error %v, want %s", d.Err(), want)
	}
}

func TestDecoderFixed(t *testing.T) {
	d := only(t, testkit.TLV(1, 1, 2, 3))
	if got := d.Fixed(2); !bytes.Equal(got, []byte{1, 2}) {
		t.Errorf("first two bytes: % x", got)
	}
	if got := d.Fixed(4); !bytes.Equal(got, make([]byte, 4)) || !errors.Is(d.Err(), attr.ErrMalformed) {
		t.Errorf("more than there are: % x, %v", got, d.Err())
	}
}

func TestDecoderCString(t *testing.T) {
	tests := []struct {
		value, want string
	}{
		{"", ""},
		{"\x00", ""},
		{"drop: \x00", "drop: "},
		{"unterminated", "unterminated"},
		{"a\x00b\x00", "a"},
	}
	for _, tt := range tests {
		d := only(t, testkit.TLV(1, []byte(tt.value)...))
		if got := string(d.CString()); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestDecoderNestedHasItsOwnError(t *testing.T) {
	outer := only(t, testkit.TLV(0x8001, slices.Concat(testkit.List(testkit.TLV(2, 'a')), header(3, 3))...))
	in := outer.Nested()
	if !in.Next() || in.Type() != 2 || string(in.Bytes()) != "a" {
		t.Fatalf("type %d, value %q", in.Type(), in.Bytes())
	}
	if in.Next() || in.Err() == nil {
		t.Error("the bad length inside went unnoticed")
	}
	if outer.Next() || outer.Err() != nil {
		t.Errorf("the outer list is at fault: %v", outer.Err())
	}
}

// An append to any slice that was decoded must leave the attribute behind it
// alone.
func TestDecoderCutsSlicesToTheirCapacity(t *testing.T) {
	in := testkit.List(testkit.TLV(1, 0, 2, 0, 0, 'a', 'b', 0, 'd', 'e', 'f', 'g', 'h'), testkit.TLV(2, 'x'))
	before := bytes.Clone(in)
	d := only(t, in)
	slices := map[string][]byte{
		"Bytes":   d.Bytes(),
		"Fixed":   d.Fixed(5),
		"CString": d.CString(),
	}
	for name, s := range slices {
		if cap(s) != len(s) {
			t.Errorf("%s: length %d, capacity %d", name, len(s), cap(s))
		}
		_ = append(s, "overwritten"...)
	}
	if !bytes.Equal(in, before) {
		t.Error("input was written to")
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(testkit.List(testkit.TLV(1, 0, 0, 0, 7, 8, 0, 2), testkit.TLV(0x8013, testkit.List(testkit.TLV(2, 0, 1), testkit.TLV(1, 0x81, 0))...)))
	f.Add(testkit.List(testkit.TLV(9, 0xff, 0xfc, 0, 0, 2, 0), testkit.TLV(4, make([]byte, 16)...)))
	f.Add(header(3, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if cap(b) > len(b) {
			b = bytes.Clone(b)[:len(b):len(b)]
		}
		var again []byte
		d := attr.NewDecoder(b)
		for d.Next() {
			again = attr.AppendBytes(again, d.Type(), d.Bytes())
			for _, get := range getters {
				one := d // its errors are not for the walk
				get(&one)
				if one.Err() != nil && !errors.Is(one.Err(), attr.ErrMalformed) {
					t.Fatal(one.Err())
				}
			}
		}
		if d.Err() != nil {
			return
		}
		d, e := attr.NewDecoder(b), attr.NewDecoder(again)
		for d.Next() {
			if !e.Next() || e.Type() != d.Type() || !bytes.Equal(e.Bytes(), d.Bytes()) {
				t.Fatalf("encoded again: % x, %v", again, e.Err())
			}
		}
	})
}

// getters has every method that reads a value.
var getters = map[string]func(*attr.Decoder){
	"Bytes":   func(d *attr.Decoder) { d.Bytes() },
	"Fixed":   func(d *attr.Decoder) { d.Fixed(4) },
	"Uint8":   func(d *attr.Decoder) { d.Uint8() },
	"Uint16":  func(d *attr.Decoder) { d.Uint16() },
	"Uint32":  func(d *attr.Decoder) { d.Uint32() },
	"Uint64":  func(d *attr.Decoder) { d.Uint64() },
	"CString": func(d *attr.Decoder) { d.CString() },
	"Nested":  func(d *attr.Decoder) { n := d.Nested(); n.Next() },
	"VLAN":    func(d *attr.Decoder) { d.VLAN() },
}
