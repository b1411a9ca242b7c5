package attr_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// TestNoAllocs is the list of what promises not to allocate.
func TestNoAllocs(t *testing.T) {
	in := testkit.List(
		testkit.TLV(1, 0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0),
		testkit.TLV(0x8013, testkit.List(testkit.TLV(1, 0x81, 0), testkit.TLV(2, 0, 42))...),
	)
	d := new(attr.Decoder) // the table's functions are opaque: one on the stack would escape
	for name, get := range getters {
		noAllocs(t, name, func() {
			*d = attr.NewDecoder(in)
			for d.Next() {
				if (d.Type() == 19) == (name == "VLAN" || name == "Nested") {
					get(d)
				}
			}
			if d.Err() != nil {
				t.Fatal(d.Err())
			}
		})
	}

	for name := range connections() {
		in, c := captured(t, name), new(attr.Conntrack)
		noAllocs(t, "Conntrack.Decode of "+name, func() {
			if err := c.Decode(in); err != nil {
				t.Fatal(err)
			}
		})
	}

	buf := make([]byte, 0, 256)
	value := []byte("value")
	noAllocs(t, "AppendBytes", func() { attr.AppendBytes(buf, 1, value) })
	noAllocs(t, "AppendString", func() { attr.AppendString(buf, 1, "value") })
	noAllocs(t, "AppendUint8", func() { attr.AppendUint8(buf, 1, 2) })
	noAllocs(t, "AppendUint16", func() { attr.AppendUint16(buf, 1, 2) })
	noAllocs(t, "AppendUint32", func() { attr.AppendUint32(buf, 1, 2) })
	noAllocs(t, "AppendUint64", func() { attr.AppendUint64(buf, 1, 2) })
	noAllocs(t, "AppendVLAN", func() { attr.AppendVLAN(buf, 1, attr.VLAN{Protocol: 0x8100, TCI: 2}) })
	noAllocs(t, "EndNested", func() {
		b := attr.BeginNested(buf, 1)
		b = attr.AppendUint32(b, 2, 3)
		attr.EndNested(b, 0)
	})
}

func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}
