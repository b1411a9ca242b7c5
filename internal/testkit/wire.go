package testkit

import "encoding/binary"

// TLV returns a netlink attribute without its padding. Tests write attributes with
// it, and not with package attr, so that the two check each other.
//
//	 0        2      4
//	| length | type | value
func TLV(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	return append(b, value...)
}

// List returns attributes one after the other, each with its padding.
func List(attrs ...[]byte) (b []byte) {
	for _, a := range attrs {
		b = append(b, a...)
		b = append(b, make([]byte, -len(b)&3)...)
	}
	return b
}
