package nlattr

import (
	"bytes"
	"math"
	"net"
	"testing"
	"time"
)

func TestTimeIsOfMicroseconds(t *testing.T) {
	for _, want := range []time.Time{
		time.Unix(0, 0),
		time.Unix(1700000000, 123456000),
		time.Unix(math.MaxUint32+1, 0),
		{},
	} {
		b := AppendTime(nil, 4, want.Add(999))
		if got := Time(ValueAt(b, 0, len(b))); !got.Equal(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	want := []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}
	if b := AppendTime(nil, 4, time.Unix(1, 2999)); !bytes.Equal(b[HeaderLen:], want) {
		t.Errorf("got %x, want %x", b, want)
	}
	if got := Time(make([]byte, 15)); !got.IsZero() {
		t.Errorf("cut short: %v", got)
	}
}

func TestHardwareAddrIsInItsField(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want net.HardwareAddr
	}{
		{"Ethernet", []byte{0, 6, 0, 0, 2, 3, 4, 5, 6, 7, 0xde, 0xad}, net.HardwareAddr{2, 3, 4, 5, 6, 7}},
		{"eight bytes", []byte{0, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}},
		{"none", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil},
		{"InfiniBand", []byte{0, 20, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}},
		{"length 0xfffc", []byte{0xff, 0xfc, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}},
		{"length beyond field", []byte{0, 6, 0, 0, 1, 2}, net.HardwareAddr{1, 2}},
		{"bytes beyond field", []byte{0, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}},
		{"no field", []byte{0, 6, 0, 0}, nil},
		{"no length", []byte{0, 6, 0}, nil},
	} {
		got := HardwareAddr(tt.in)
		if !bytes.Equal(got, tt.want) || cap(got) != len(got) {
			t.Errorf("%s: got %v with room for %d, want %v", tt.name, got, cap(got), tt.want)
		}
	}
}

func TestHardwareAddrIsAppendedInItsField(t *testing.T) {
	for _, tt := range []struct {
		addr net.HardwareAddr
		want []byte
	}{
		{net.HardwareAddr{2, 1}, []byte{0, 2, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0}},
		{net.HardwareAddr("infiniband"), append([]byte{0, 8, 0, 0}, "infiniba"...)},
	} {
		if b := AppendHardwareAddr(nil, 9, tt.addr); !bytes.Equal(b[HeaderLen:], tt.want) {
			t.Errorf("%v: got %x, want %x", tt.addr, b, tt.want)
		}
	}
}
