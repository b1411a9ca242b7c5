package attr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The header of an attribute, struct nlattr of linux/netlink.h: 16 bits each for
// its length, which includes the header, and for its type with two flags.
const (
	headerLen = 4      // NLA_HDRLEN
	typeMask  = 0x3fff // NLA_TYPE_MASK
	nested    = 0x8000 // NLA_F_NESTED
)

// ErrMalformed is wrapped by every decoding error.
var ErrMalformed = errors.New("malformed attribute")

// A Decoder walks a list of attributes:
//
//	d := attr.NewDecoder(b)
//	for d.Next() {
//		switch d.Type() {
//		case mark:
//			p.Mark = d.Uint32()
//		}
//	}
//	return d.Err()
//
// The methods that return a value apply to the attribute to which the last call
// of Next advanced. If the attribute has fewer bytes than the method reads, the
// method returns zero, and Next and Err report the error. Additional bytes are
// ignored, as by the kernel.
//
// The zero Decoder has no attributes. A Decoder may be copied; the copies then
// advance independently.
type Decoder struct {
	value []byte // of the current attribute
	rest  []byte // what follows it
	err   error
	typ   uint16
}

// NewDecoder returns a Decoder for the attributes in b, which it aliases.
func NewDecoder(b []byte) Decoder {
	return Decoder{rest: b}
}

// Next advances to the next attribute. It returns false at the end of the list
// and after the first error; Err distinguishes the two.
func (d *Decoder) Next() bool {
	b := d.rest
	if len(b) < headerLen {
		return d.stop()
	}
	n := int(binary.NativeEndian.Uint16(b))
	d.typ = binary.NativeEndian.Uint16(b[2:]) & typeMask
	if n < headerLen || n > len(b) {
		return d.overrun(n)
	}
	d.value = b[headerLen:n:n]
	// The last attribute of a message may come without its padding:
	// nfqnl_build_packet_message leaves it off the payload.
	d.rest = b[min(align(n), len(b)):]
	return true
}

// Type returns the attribute's type without its flag bits.
func (d *Decoder) Type() uint16 {
	return d.typ
}

// Err returns the first error, which wraps ErrMalformed, or nil.
func (d *Decoder) Err() error {
	return d.err
}

// Bytes returns the whole value, which may be empty. Like all returned slices
// it aliases the input.
func (d *Decoder) Bytes() []byte {
	return d.value
}

// Fixed returns the first n bytes of the value. If the value is shorter, Fixed
// returns n zero bytes and Err reports the error.
func (d *Decoder) Fixed(n int) []byte {
	if len(d.value) < n {
		d.short(n)
		return make([]byte, n)
	}
	return d.value[:n:n]
}

// Uint8 returns the value as an 8-bit integer.
func (d *Decoder) Uint8() uint8 {
	if len(d.value) < 1 {
		d.short(1)
		return 0
	}
	return d.value[0]
}

// Uint16 returns the value, which is in network byte order, as a 16-bit
// integer.
func (d *Decoder) Uint16() uint16 {
	if len(d.value) < 2 {
		d.short(2)
		return 0
	}
	return binary.BigEndian.Uint16(d.value)
}

// Uint32 returns the value, which is in network byte order, as a 32-bit
// integer.
func (d *Decoder) Uint32() uint32 {
	if len(d.value) < 4 {
		d.short(4)
		return 0
	}
	return binary.BigEndian.Uint32(d.value)
}

// Uint64 returns the value, which is in network byte order, as a 64-bit
// integer.
func (d *Decoder) Uint64() uint64 {
	if len(d.value) < 8 {
		d.short(8)
		return 0
	}
	return binary.BigEndian.Uint64(d.value)
}

// CString returns the value up to its first NUL, or all of it if it has none.
func (d *Decoder) CString() []byte {
	if n := bytes.IndexByte(d.value, 0); n >= 0 {
		return d.value[:n:n]
	}
	return d.value
}

// Nested returns a Decoder for the attributes inside the current one. Its
// errors are not reported by d.Err: call Err of both.
func (d *Decoder) Nested() Decoder {
	return NewDecoder(d.value)
}

// stop ends the walk where no header fits any more. Up to three zero bytes are
// the padding of whatever holds the list; anything else is the start of an
// attribute whose end is missing.
func (d *Decoder) stop() bool {
	for _, c := range d.rest {
		if c != 0 {
			d.fail(fmt.Errorf("%w: %d bytes after type %d are not an attribute", ErrMalformed, len(d.rest), d.typ))
			break
		}
	}
	d.value, d.rest = nil, nil
	return false
}

// overrun ends the walk at an attribute with the length n, which is less than a header
// or more than the bytes that are left.
func (d *Decoder) overrun(n int) bool {
	d.fail(fmt.Errorf("%w: type %d has length %d with %d bytes left", ErrMalformed, d.typ, n, len(d.rest)))
	return false
}

// short notes that the value has fewer than the n bytes asked for. It is kept
// out of line so that the methods that call it can be inlined.
//
//go:noinline
func (d *Decoder) short(n int) {
	d.fail(fmt.Errorf("%w: type %d has %d bytes, not %d", ErrMalformed, d.typ, len(d.value), n))
}

// inherit takes over the error of a Decoder for the inside of the current
// attribute, and reports whether there is one.
func (d *Decoder) inherit(in *Decoder) bool {
	if in.err == nil {
		return false
	}
	d.fail(fmt.Errorf("inside type %d: %w", d.typ, in.err))
	return true
}

// fail keeps err if it is the first, and ends the walk.
func (d *Decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.value, d.rest = nil, nil
}

// align rounds n up to a multiple of four: NLA_ALIGN.
func align(n int) int {
	return (n + 3) &^ 3
}
