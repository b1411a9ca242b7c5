package nlattr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
)

const packet engine.Type = 0x0300 // NFQNL_MSG_PACKET

func TestMessageLenIsZeroForWhatIsNotThere(t *testing.T) {
	msg := engine.Message{Type: packet, Family: engine.IPv6, Resource: 7, Attrs: make([]byte, 8)}.Append(nil)
	longer, shorter := bytes.Clone(msg), bytes.Clone(msg)
	binary.NativeEndian.PutUint32(longer, uint32(len(msg)+1))
	binary.NativeEndian.PutUint32(shorter, MessageHeaderLen-1)
	for _, c := range []struct {
		name     string
		msgs     []byte
		typ      engine.Type
		resource uint16
		want     int
	}{
		{"one message", msg, packet, 7, 28},
		{"two messages", append(bytes.Clone(msg), msg...), packet, 7, 28},
		{"another type", msg, packet + 1, 7, 0},
		{"another queue", msg, packet, 8, 0},
		{"half a header", msg[:MessageHeaderLen-1], packet, 7, 0},
		{"a message that is cut", msg[:27], packet, 7, 0},
		{"a length beyond the end", longer, packet, 7, 0},
		{"a length below that of the header", shorter, packet, 7, 0},
		{"nothing", nil, packet, 7, 0},
	} {
		if got := MessageLen(c.msgs, c.typ, c.resource); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if got := Family(msg); got != engine.IPv6 {
		t.Errorf("family %v", got)
	}
}

func TestAttributesAreReadAtAnIndex(t *testing.T) {
	b := attr.AppendUint32(attr.AppendUint16(nil, 1, 0x1234), 2, 0x56789abc)
	if got := Uint16At(b, 0); got != 0x1234 {
		t.Errorf("%#x", got)
	}
	if got := Uint32At(b, 8); got != 0x56789abc {
		t.Errorf("%#x", got)
	}
	v := ValueAt(b, 8, 8)
	if !bytes.Equal(v, []byte{0x56, 0x78, 0x9a, 0xbc}) || cap(v) != 4 {
		t.Errorf("%x with room for %d", v, cap(v))
	}
}

func TestLengthsFindAnAttributeThatIsTooShort(t *testing.T) {
	lengths := Lengths{2: 4}
	for name, c := range map[string]struct {
		attrs []byte
		ok    bool
	}{
		"long enough":       {attr.AppendUint32(nil, 2, 1), true},
		"too short":         {attr.AppendUint16(nil, 2, 1), false},
		"without a length":  {attr.AppendBytes(nil, 1, nil), true},
		"beyond the table":  {attr.AppendBytes(nil, 9, nil), true},
		"longer than there": {[]byte{9, 0, 1, 0}, false},
		"only padding":      {[]byte{0, 0}, true},
	} {
		if err := lengths.Check(c.attrs); (err == nil) != c.ok || err != nil && !errors.Is(err, attr.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
