//go:build linux

package endtoend

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
)

// What the kernel has collected for a log are copies: they come although their
// device went down and all chains were deleted, which drops queued packets.
func TestCollectedPacketsOutliveTheirDevice(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1000, FlushTimeout: time.Hour})
	l.send(t, 0, 10)
	must(t, l.net.Down("lo"))
	must(t, l.net.Up("lo"))
	must(t, l.net.Flush())
	ipv4.wantNumbers(t, rest(t, l.reader), 0, 10)
	if s := l.reader.Stats(); s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCollectedPacketsOutliveADeletedDevice(t *testing.T) {
	const sent = 10
	a, b, _, addr := wire(t, ipv4)
	rule := addRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 0))
	r := openLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1000, FlushTimeout: time.Hour})
	to, err := b.ListenPacket("udp", netip.AddrPortFrom(addr, 9999).String()) // or a is told of an error
	must(t, err)
	defer to.Close()
	from, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
	must(t, err)
	defer from.Close()
	l := &logLane{from: from}
	l.send(t, 0, sent)
	await(t, "the packets are logged", func() bool {
		n, err := rule.Packets()
		return err != nil || n == sent
	})
	must(t, b.DelLink("eth0"))
	ipv4.wantNumbers(t, rest(t, r), 0, sent)
}
