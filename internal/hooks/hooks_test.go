package hooks

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestNumbersMeanTheHookOfTheirFamily(t *testing.T) {
	for _, c := range []struct {
		family nfnl.Family
		number uint8
		want   nfnl.Hook
		name   string
	}{
		{nfnl.IPv4, 0, nfnl.Prerouting, "prerouting"},
		{nfnl.IPv6, 1, nfnl.Input, "input"},
		{nfnl.IPv4, 4, nfnl.Postrouting, "postrouting"},
		{engine.INet, 5, nfnl.Ingress, "ingress"},
		{nfnl.Bridge, 2, nfnl.Forward, "forward"},
		{nfnl.Bridge, 5, 0x85, "hook 5"},
		{nfnl.ARP, 0, nfnl.Input, "input"},
		{nfnl.ARP, 1, nfnl.Output, "output"},
		{nfnl.ARP, 2, nfnl.Forward, "forward"},
		{nfnl.ARP, 3, 0x83, "hook 3"},
		{nfnl.NetDev, 0, nfnl.Ingress, "ingress"},
		{nfnl.NetDev, 1, nfnl.Egress, "egress"},
		{nfnl.NetDev, 2, 0x82, "hook 2"},
		{engine.Unspec, 3, nfnl.Output, "output"},
	} {
		got := Of(c.family, c.number)
		if got != c.want || got.String() != c.name {
			t.Errorf("number %d of %v is %v (%d), want %s", c.number, c.family, got, got, c.name)
		}
	}
}

func TestNumberIsTheInverseOfOf(t *testing.T) {
	for _, f := range []nfnl.Family{engine.Unspec, engine.INet, nfnl.IPv4, nfnl.ARP, nfnl.NetDev, nfnl.Bridge, nfnl.IPv6, 255} {
		for n := range uint8(0x80) {
			if got := Number(f, Of(f, n)); got != n {
				t.Errorf("hook %d of %v became %d", n, f, got)
			}
		}
	}
}
