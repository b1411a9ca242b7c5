package engine

import (
	"reflect"
	"slices"
	"testing"
)

var goldenAll = [][]byte{
	goldenBind, goldenAck, goldenShort, goldenVerdict, goldenGone, goldenUncap, goldenPacket, goldenLog,
}

func FuzzNext(f *testing.F) {
	for _, b := range goldenAll {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = slices.Clip(b) // a slice of it cannot reach outside
		for len(b) > 0 {
			m, rest, err := Next(b)
			if err != nil {
				if rest != nil {
					t.Fatalf("%d bytes follow what is malformed", len(rest))
				}
				return
			}
			if cap(m.Attrs) != len(m.Attrs) {
				t.Fatalf("attributes of %d bytes reach %d further", len(m.Attrs), cap(m.Attrs)-len(m.Attrs))
			}
			if len(m.Attrs)+len(rest) > len(b)-headerLen {
				t.Fatalf("%d and %d bytes of %d", len(m.Attrs), len(rest), len(b))
			}
			again, rest2, err := Next(m.Append(nil))
			if err != nil || len(rest2) != 0 || !reflect.DeepEqual(again, m) {
				t.Fatalf("%+v was written and read back as %+v, %d bytes, %v", m, again, len(rest2), err)
			}
			b = rest
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, b := range goldenAll {
		f.Add(uint16(0x100), b[headerLen:])
		f.Add(uint16(0x200), b[headerLen:])
		f.Add(uint16(0x300), b[headerLen:])
	}
	f.Fuzz(func(t *testing.T, flags uint16, body []byte) {
		m := Message{Type: typeError, Flags: flags, Attrs: slices.Clip(body)}
		r, ok := m.Reply()
		if ok != (len(body) >= errorLen) {
			t.Fatalf("%d bytes: %v", len(body), ok)
		}
		if flags&flagText == 0 && r.Text != nil {
			t.Fatalf("text %q, which the flags do not announce", r.Text)
		}
		if (r.Err() == nil) != (r.Errno == 0) {
			t.Fatalf("errno %d is the error %v", r.Errno, r.Err())
		}
		if err := r.Err(); err != nil && err.Error() == "" {
			t.Fatalf("errno %d has no text", r.Errno)
		}
	})
}
