package nfnl_test

import (
	"fmt"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
)

func TestHooksHaveNames(t *testing.T) {
	got := fmt.Sprint(nfnl.Prerouting, nfnl.Input, nfnl.Forward, nfnl.Output, nfnl.Postrouting, nfnl.Ingress, nfnl.Egress, nfnl.Hook(9), nfnl.Hook(0x81))
	if want := "prerouting input forward output postrouting ingress egress hook 9 hook 1"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFamiliesHaveNames(t *testing.T) {
	got := fmt.Sprint(nfnl.IPv4, nfnl.ARP, nfnl.NetDev, nfnl.Bridge, nfnl.IPv6)
	if want := "ip arp netdev bridge ip6"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
