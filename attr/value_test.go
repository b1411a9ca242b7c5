package attr_test

import (
	"bytes"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestDecoderTime(t *testing.T) {
	for _, want := range []time.Time{
		time.Unix(0, 0),
		time.Unix(1700000000, 123456000),
		time.Unix(math.MaxUint32+1, 0),
		{},
	} {
		d := only(t, attr.AppendTime(nil, 4, want))
		if got := d.Time(); !got.Equal(want) || d.Err() != nil {
			t.Errorf("got %v, %v, want %v", got, d.Err(), want)
		}
	}
	d := only(t, testkit.TLV(4, make([]byte, 15)...))
	if got := d.Time(); !got.IsZero() || !errors.Is(d.Err(), attr.ErrMalformed) {
		t.Errorf("cut short: %v, %v", got, d.Err())
	}
}

func TestDecoderHardwareAddr(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want net.HardwareAddr
		err  bool
	}{
		{"Ethernet", []byte{0, 6, 0, 0, 2, 3, 4, 5, 6, 7, 0xde, 0xad}, net.HardwareAddr{2, 3, 4, 5, 6, 7}, false},
		{"eight bytes", []byte{0, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"none", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, false},
		{"InfiniBand", []byte{0, 20, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"length 0xfffc", []byte{0xff, 0xfc, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"length beyond field", []byte{0, 6, 0, 0, 1, 2}, net.HardwareAddr{1, 2}, false},
		{"bytes beyond field", []byte{0, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"no field", []byte{0, 6, 0, 0}, nil, false},
		{"no length", []byte{0, 6, 0}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := only(t, testkit.TLV(9, tt.in...))
			if got := d.HardwareAddr(); !bytes.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if errors.Is(d.Err(), attr.ErrMalformed) != tt.err {
				t.Errorf("error %v", d.Err())
			}
		})
	}
}

func TestDecoderVLAN(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want attr.VLAN
		err  string
	}{
		{"queue's order", testkit.List(testkit.TLV(1, 0x81, 0), testkit.TLV(2, 0xb0, 42)), attr.VLAN{Protocol: 0x8100, TCI: 0xb02a}, ""},
		{"log's order", testkit.List(testkit.TLV(2, 0xb0, 42), testkit.TLV(1, 0x81, 0)), attr.VLAN{Protocol: 0x8100, TCI: 0xb02a}, ""},
		{"with the unknown", testkit.List(testkit.TLV(9, 1), testkit.TLV(1, 0x88, 0xa8)), attr.VLAN{Protocol: 0x88a8}, ""},
		{"empty", nil, attr.VLAN{}, ""},
		{"cut short", testkit.List(testkit.TLV(1, 0x81, 0), testkit.TLV(2, 0xb0)), attr.VLAN{}, "inside type 19: malformed attribute: type 2 has 1 bytes, not 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := only(t, testkit.TLV(0x8013, tt.in...))
			if got := d.VLAN(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			text := ""
			if d.Err() != nil {
				text = d.Err().Error()
			}
			if text != tt.err || errors.Is(d.Err(), attr.ErrMalformed) != (tt.err != "") {
				t.Errorf("error %q, want %q", text, tt.err)
			}
		})
	}
}

func TestVLANParts(t *testing.T) {
	tests := []struct {
		v    attr.VLAN
		id   uint16
		prio uint8
		dei  bool
		text string
	}{
		{attr.VLAN{}, 0, 0, false, "untagged"},
		{attr.VLAN{Protocol: 0x8100, TCI: 42}, 42, 0, false, "802.1Q id 42"},
		{attr.VLAN{Protocol: 0x88a8, TCI: 0xbfff}, 4095, 5, true, "802.1ad id 4095 prio 5 dei"},
		{attr.VLAN{Protocol: 0x8100, TCI: 0xe000}, 0, 7, false, "802.1Q id 0 prio 7"},
		{attr.VLAN{Protocol: 0x9100, TCI: 0x1001}, 1, 0, true, "0x9100 id 1 dei"},
	}
	for _, tt := range tests {
		if tt.v.ID() != tt.id || tt.v.Priority() != tt.prio || tt.v.DropEligible() != tt.dei {
			t.Errorf("%#v: id %d, priority %d, drop eligible %t", tt.v, tt.v.ID(), tt.v.Priority(), tt.v.DropEligible())
		}
		if got := tt.v.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
	}
}

func TestValuesThatAreTooShortAreZero(t *testing.T) {
	if got := attr.Time(make([]byte, 15)); !got.IsZero() {
		t.Errorf("time %v", got)
	}
	if got := attr.HardwareAddr(make([]byte, 3)); got != nil {
		t.Errorf("hardware address %v", got)
	}
	if got := attr.CString(nil); len(got) != 0 {
		t.Errorf("string %q", got)
	}
}
