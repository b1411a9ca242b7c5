package attr_test

import (
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

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
