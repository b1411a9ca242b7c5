package attr_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestAppend(t *testing.T) {
	tests := []struct {
		name      string
		got, want []byte
	}{
		{"no bytes", attr.AppendBytes(nil, 1, nil), testkit.TLV(1)},
		{"one byte", attr.AppendBytes(nil, 1, []byte{9}), testkit.List(testkit.TLV(1, 9))},
		{"two bytes", attr.AppendBytes(nil, 1, []byte{9, 8}), testkit.List(testkit.TLV(1, 9, 8))},
		{"three bytes", attr.AppendBytes(nil, 1, []byte{9, 8, 7}), testkit.List(testkit.TLV(1, 9, 8, 7))},
		{"four bytes", attr.AppendBytes(nil, 1, []byte{9, 8, 7, 6}), testkit.TLV(1, 9, 8, 7, 6)},
		{"no string", attr.AppendString(nil, 1, ""), testkit.List(testkit.TLV(1, 0))},
		{"string", attr.AppendString(nil, 1, "abc"), testkit.TLV(1, 'a', 'b', 'c', 0)},
		{"8 bits", attr.AppendUint8(nil, 1, 0x81), testkit.List(testkit.TLV(1, 0x81))},
		{"16 bits", attr.AppendUint16(nil, 1, 0x8102), testkit.List(testkit.TLV(1, 0x81, 2))},
		{"32 bits", attr.AppendUint32(nil, 1, 0x81020304), testkit.TLV(1, 0x81, 2, 3, 4)},
		{"64 bits", attr.AppendUint64(nil, 1, 0x8102030405060708), testkit.TLV(1, 0x81, 2, 3, 4, 5, 6, 7, 8)},
		{"after another", attr.AppendUint8(testkit.TLV(1), 2, 3), testkit.List(testkit.TLV(1), testkit.TLV(2, 3))},
		{"empty nest", attr.EndNested(attr.BeginNested(nil, 1), 0), testkit.TLV(0x8001)},
		{"tag", attr.AppendVLAN(nil, 19, attr.VLAN{Protocol: 0x8100, TCI: 42}), testkit.TLV(0x8013, testkit.List(testkit.TLV(1, 0x81, 0), testkit.TLV(2, 0, 42))...)},
	}
	for _, tt := range tests {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s: got % x, want % x", tt.name, tt.got, tt.want)
		}
	}
}

func TestNestsInsideNests(t *testing.T) {
	b := testkit.TLV(7)
	outer := len(b)
	b = attr.BeginNested(b, 1)
	inner := len(b)
	b = attr.BeginNested(b, 2)
	b = attr.AppendUint8(b, 3, 4)
	b = attr.EndNested(b, inner)
	b = attr.AppendUint8(b, 5, 6)
	b = attr.EndNested(b, outer)
	want := testkit.List(testkit.TLV(7), testkit.TLV(0x8001, testkit.List(testkit.TLV(0x8002, testkit.List(testkit.TLV(3, 4))...), testkit.TLV(5, 6))...))
	if !bytes.Equal(b, want) {
		t.Errorf("got % x, want % x", b, want)
	}
}

func TestAppendPanicsRatherThanWrapTheLength(t *testing.T) {
	long := make([]byte, attr.MaxLen+1)
	tests := map[string]func(){
		"AppendBytes":  func() { attr.AppendBytes(nil, 1, long) },
		"AppendString": func() { attr.AppendString(nil, 1, string(long[1:])) },
		"EndNested":    func() { attr.EndNested(slices.Concat(attr.BeginNested(nil, 1), long), 0) },
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
	b := attr.AppendBytes(nil, 1, long[1:])
	if d := only(t, b); len(d.Bytes()) != attr.MaxLen {
		t.Errorf("the longest value came back with %d bytes", len(d.Bytes()))
	}
}
