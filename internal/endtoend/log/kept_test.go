//go:build linux

package log

import (
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A log loses what Configure has no room for, and counts it.
func TestConfigureOfALogKeepsABoundedNumberOfPackets(t *testing.T) {
	const buffer, size, sent = 32 << 10, 1400, 2000
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1, Socket: nfnl.Config{ReadBuffer: buffer}}
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, cfg)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	for i := range sent {
		endtoend.Send(t, from, strings.Repeat("x", size))
		if i%200 == 199 {
			testkit.Must(t, r.Configure(cfg))
		}
	}
	endtoend.Send(t, from, "last") // shows the gap
	b := r.NewBatch()
	for {
		testkit.Must(t, r.TryReceive(b))
		if len(b.Packets) == 0 {
			break
		}
	}
	if s, most := r.Stats(), 3*2*buffer/size; s.Packets == 0 || s.Packets > uint64(most) || s.Packets+s.Lost != sent+1 {
		t.Errorf("%d packets were there, want at most %d, and %d are counted as lost", s.Packets, most, s.Lost)
	}
}
