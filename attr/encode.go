package attr

import (
	"encoding/binary"
	"strconv"
)

// MaxLen is the length in bytes of the longest value an attribute can hold.
const MaxLen = 0xffff - headerLen

// AppendBytes appends an attribute with the value v. It panics if v is longer than
// MaxLen, the most that the length field of an attribute allows.
func AppendBytes(b []byte, typ uint16, v []byte) []byte {
	b = appendHeader(b, typ, len(v))
	b = append(b, v...)
	return pad(b, len(v))
}

// AppendString appends an attribute with the value s and a terminating NUL. It
// panics if the two are longer than MaxLen.
func AppendString(b []byte, typ uint16, s string) []byte {
	b = appendHeader(b, typ, len(s)+1)
	b = append(b, s...)
	b = append(b, 0)
	return pad(b, len(s)+1)
}

// AppendUint8 appends an attribute with an 8-bit integer.
func AppendUint8(b []byte, typ uint16, v uint8) []byte {
	b = appendHeader(b, typ, 1)
	return append(b, v, 0, 0, 0)
}

// AppendUint16 appends an attribute with a 16-bit integer in network byte order.
func AppendUint16(b []byte, typ uint16, v uint16) []byte {
	b = appendHeader(b, typ, 2)
	return append(b, byte(v>>8), byte(v), 0, 0)
}

// AppendUint32 appends an attribute with a 32-bit integer in network byte order.
func AppendUint32(b []byte, typ uint16, v uint32) []byte {
	b = appendHeader(b, typ, 4)
	return binary.BigEndian.AppendUint32(b, v)
}

// AppendUint64 appends an attribute with a 64-bit integer in network byte order.
func AppendUint64(b []byte, typ uint16, v uint64) []byte {
	b = appendHeader(b, typ, 8)
	return binary.BigEndian.AppendUint64(b, v)
}

// BeginNested appends the header of an attribute that contains other attributes.
// Append those, then call EndNested with the length that b had before BeginNested:
//
//	start := len(b)
//	b = attr.BeginNested(b, vlan)
//	b = attr.AppendUint16(b, vlanProto, 0x8100)
//	b = attr.AppendUint16(b, vlanTCI, 42)
//	b = attr.EndNested(b, start)
func BeginNested(b []byte, typ uint16) []byte {
	return appendHeader(b, typ|nested, 0)
}

// EndNested sets the length of the attribute whose header is at b[start:], so that
// everything after the header is its value. It panics if the value is longer than
// MaxLen.
func EndNested(b []byte, start int) []byte {
	n := len(b) - start
	checkLen(n - headerLen)
	binary.NativeEndian.PutUint16(b[start:], uint16(n))
	return b
}

// appendHeader adds the header of an attribute with a value of n bytes.
func appendHeader(b []byte, typ uint16, n int) []byte {
	checkLen(n)
	b = binary.NativeEndian.AppendUint16(b, uint16(headerLen+n))
	return binary.NativeEndian.AppendUint16(b, typ)
}

// pad adds the padding that a value of n bytes needs.
func pad(b []byte, n int) []byte {
	var zero [3]byte
	return append(b, zero[:align(n)-n]...)
}

// checkLen panics if a value of n bytes does not fit an attribute. To wrap the
// 16-bit length instead would make attributes out of the value's bytes.
func checkLen(n int) {
	if n > MaxLen {
		panic("attr: value of " + strconv.Itoa(n) + " bytes, longer than MaxLen")
	}
}
