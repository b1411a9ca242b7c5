//go:build linux

package log

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

// What the kernel has collected for a log are copies: they come although their
// device went down and all chains were deleted, which drops queued packets.
func TestCollectedPacketsOutliveTheirDevice(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1000, FlushTimeout: time.Hour})
	endtoend.SendNumbers(t, l.From, 0, 10)
	testkit.Must(t, l.Net.Down("lo"))
	testkit.Must(t, l.Net.Up("lo"))
	testkit.Must(t, l.Net.Flush())
	endtoend.IPv4.WantNumbers(t, rest(t, l.Reader), 0, 10)
	if s := l.Reader.Stats(); s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCollectedPacketsOutliveADeletedDevice(t *testing.T) {
	const sent = 10
	a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	rule := endtoend.AddRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 0))
	r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1000, FlushTimeout: time.Hour})
	to, err := b.ListenPacket("udp", netip.AddrPortFrom(addr, 9999).String()) // or an ICMP error goes to a
	testkit.Must(t, err)
	defer to.Close()
	from, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
	testkit.Must(t, err)
	defer from.Close()
	l := &endtoend.LoggedUDP{From: from}
	endtoend.SendNumbers(t, l.From, 0, sent)
	testkit.Await(t, "the packets are logged", func() bool {
		n, err := rule.Packets()
		return err != nil || n == sent
	})
	testkit.Must(t, b.DelLink("eth0"))
	endtoend.IPv4.WantNumbers(t, rest(t, r), 0, sent)
}
