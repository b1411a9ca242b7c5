package attr_test

import (
	"encoding/binary"
	"fmt"

	"github.com/nfpacket/nfpacket/attr"
)

// Attributes of a log record, from the kernel's linux/netfilter/nfnetlink_log.h.
const (
	nfulaMark   = 2
	nfulaPrefix = 10
	nfulaVLAN   = 20
)

func ExampleDecoder() {
	var b []byte
	b = attr.AppendString(b, nfulaPrefix, "dropped: ")
	b = attr.AppendUint32(b, nfulaMark, 0x2a)
	b = attr.AppendUint32(b, 99, 1) // of some later kernel

	d := attr.NewDecoder(b)
	for d.Next() {
		switch d.Type() {
		case nfulaMark:
			fmt.Printf("mark %#x\n", d.Uint32())
		case nfulaPrefix:
			fmt.Printf("prefix %q\n", d.CString())
		}
	}
	if err := d.Err(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// prefix "dropped: "
	// mark 0x2a
}

func ExampleDecoder_Err() {
	b := attr.AppendUint16(nil, nfulaMark, 42) // should have been 32 bits

	d := attr.NewDecoder(b)
	for d.Next() {
		fmt.Println("mark", d.Uint32())
	}
	fmt.Println(d.Err())
	// Output:
	// mark 0
	// malformed attribute: type 2 has 2 bytes, not 4
}

func ExampleDecoder_VLAN() {
	b := attr.AppendVLAN(nil, nfulaVLAN, attr.VLAN{Protocol: 0x8100, TCI: 5<<13 | 42})

	d := attr.NewDecoder(b)
	for d.Next() {
		fmt.Println(d.VLAN())
	}
	// Output: 802.1Q id 42 prio 5
}

func ExampleBeginNested() {
	start := 0
	b := attr.BeginNested(nil, nfulaVLAN)
	b = attr.AppendUint16(b, 1, 0x8100)
	b = attr.AppendUint16(b, 2, 42)
	b = attr.EndNested(b, start)

	d := attr.NewDecoder(b)
	d.Next()
	for in := d.Nested(); in.Next(); {
		fmt.Println(in.Type(), in.Uint16())
	}
	// Output:
	// 1 33024
	// 2 42
}

// Other libraries have labels as 16 bytes. Those that pass on what the kernel sent
// need no conversion. Those that make a number of 128 bits of it, whose lowest bit
// is label 0, have its bytes the other way round.
func ExampleConntrackLabels() {
	raw := [16]byte{0: 0b110} // labels 1 and 2, on a little-endian machine
	asNumber := [16]byte{15: 0b110}

	var labels attr.ConntrackLabels
	for n := range 128 {
		if asNumber[15-n/8]>>(n%8)&1 != 0 {
			labels.Set(n)
		}
	}
	fmt.Println(labels.Has(1), labels.Has(2), labels.Has(3))

	littleEndian := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	fmt.Println(labels == attr.ConntrackLabels(raw) || !littleEndian)
	// Output:
	// true true false
	// true
}
