//go:build linux

package rewrite

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A checksum that was wrong when the packet came must not be mended by a
// rewrite: the receiver would take the damage for what was sent.
func TestCorruptPacketStaysCorrupt(t *testing.T) {
	endtoend.NeedRewriting(t)
	edits := map[string]func(p *nfqueue.Packet, headers int) []byte{
		"in place": func(p *nfqueue.Packet, headers int) []byte {
			copy(p.Payload[headers:], bytes.ToUpper(p.Payload[headers:]))
			return p.Payload
		},
		"in a copy": func(p *nfqueue.Packet, headers int) []byte {
			return append(slices.Clone(p.Payload[:headers]), bytes.ToUpper(p.Payload[headers:])...)
		},
	}
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		for _, hook := range []lab.Hook{lab.Prerouting, lab.Input} {
			for name, edit := range edits {
				t.Run(fmt.Sprintf("%v, edited %s", hook, name), func(t *testing.T) { passCorrupt(t, v, hook, edit) })
			}
		}
	})
}

func passCorrupt(t *testing.T, v endtoend.IPVersion, hook lab.Hook, edit func(p *nfqueue.Packet, headers int) []byte) {
	a, b, addrA, addrB := endtoend.NetPair(t, v)
	var reported testkit.Errors
	q := endtoend.OpenQueue(t, b, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: reported.Add})
	endtoend.AddRule(t, b, v.Family, hook, lab.UDP(9999), lab.Queue(0))
	pc, err := b.ListenPacket("udp", netip.AddrPortFrom(addrB, 9999).String())
	testkit.Must(t, err)
	defer pc.Close()
	unverified := make(chan bool, 2)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		unverified <- p.ChecksumUnverified
		return nfqueue.Accept().WithPayload(edit(p, v.Headers))
	})

	corrupt := endtoend.UDPPacket(t, addrA, addrB, "corrupt")
	corrupt[len(corrupt)-1] ^= 1
	endtoend.SendRaw(t, a, addrB, corrupt, endtoend.UDPPacket(t, addrA, addrB, "sound"))
	endtoend.WantReceived(t, pc, "SOUND")
	for range 2 {
		if !<-unverified {
			t.Error("the kernel has verified the packets, so they show nothing")
		}
	}
	reported.WantOnly(t, nfqueue.ErrCorrupt)
	if n := checksumErrors(t, b, v); n != 1 {
		t.Errorf("%d wrong checksums at the receiver, want 1", n)
	}
}
