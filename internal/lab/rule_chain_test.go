//go:build linux

package lab_test

import (
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestPriorityOrdersChains(t *testing.T) {
	n := newNet(t)
	late, err := n.Chain(lab.IPv4, lab.Output, 10)
	testkit.Must(t, err)
	first, err := n.Chain(lab.IPv4, lab.Output, -10)
	testkit.Must(t, err)
	r := addRule(t, late)
	addRule(t, first, lab.Drop())
	send(t, n, "udp", "127.0.0.1:9999", false)
	wantPackets(t, r, 0)
}

func TestEveryHook(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Veth("a", n, "b"))
	inet := []lab.Hook{lab.Prerouting, lab.Input, lab.Forward, lab.Output, lab.Postrouting}
	for family, hooks := range map[lab.Family][]lab.Hook{
		lab.IPv4: inet, lab.IPv6: inet, lab.Inet: inet, lab.Bridge: inet,
		lab.ARP:    {lab.Input, lab.Output},
		lab.Netdev: {lab.Ingress, lab.Egress},
	} {
		for _, h := range hooks {
			t.Run(family.String()+" "+h.String(), func(t *testing.T) {
				c, err := n.Chain(family, h, 0)
				if family == lab.Netdev {
					c, err = n.DeviceChain("a", h, 0)
				}
				if family == lab.Netdev && h == lab.Egress && !diagnose.KernelAtLeast(5, 16) {
					if !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("egress came with 5.16, but there is no error but %v", err)
					}
					return
				}
				testkit.Must(t, err)
				addRule(t, c, lab.Log(1, "x", 0, 0))
				testkit.Must(t, c.Delete())
			})
		}
	}
}

func TestNetdevChain(t *testing.T) {
	n := newNet(t)
	in, err := n.DeviceChain("lo", lab.Ingress, 0)
	testkit.Must(t, err)
	r := addRule(t, in, lab.UDP(9999))
	send(t, n, "udp", "127.0.0.1:9999", true)
	wantPackets(t, r, 1)
}

func TestDeletedRuleIsReported(t *testing.T) {
	n := newNet(t)
	r := addRule(t, chain(t, n, lab.IPv4, lab.Output))
	testkit.Must(t, r.Delete())
	if _, err := r.Packets(); err == nil {
		t.Error("Packets of a deleted rule: no error")
	}
	if err := r.Delete(); err == nil {
		t.Error("Delete of a deleted rule: no error")
	}
}

func TestFlush(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Flush())
	for _, f := range []lab.Family{lab.IPv4, lab.Inet} {
		addRule(t, chain(t, n, f, lab.Output), lab.Drop())
	}
	testkit.Must(t, n.Flush())
	if !send(t, n, "udp", "127.0.0.1:9999", true) {
		t.Error("a rule survived Flush")
	}
}

func TestChainErrorsNameTheChain(t *testing.T) {
	n := newNet(t)
	_, err := n.Chain(lab.IPv4, lab.Egress, 0)
	if err == nil {
		t.Fatal("a chain at ip egress: no error")
	}
	if got, want := err.Error(), "lab: add chain at ip egress: "; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("error %q, want it to begin with %q", got, want)
	}
}
