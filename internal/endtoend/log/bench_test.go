//go:build linux

package log

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func BenchmarkLog(b *testing.B) {
	for _, threshold := range []uint16{1, endtoend.LogThreshold} {
		b.Run(fmt.Sprintf("threshold %d", threshold), func(b *testing.B) {
			endtoend.CompareDrains(b, endtoend.NewBacklog(b, lab.UDP(9999), lab.Log(5, "bench", 0, threshold)), []endtoend.Drain{
				{Name: "netlink.Conn", Take: drainLogWithNetlink},
				{Name: "Receive", Take: drainLogWithReceive},
				{Name: "Packets", Take: drainLogWithPackets},
			})
		})
	}
}

func benchLogConfig(p *endtoend.Backlog) nflog.Config {
	return nflog.Config{
		Groups:    []uint16{5},
		Threshold: endtoend.LogThreshold, // the rule's may be lower
		Socket:    nfnl.Config{NetNS: p.Net.FD(), ReadBuffer: endtoend.BenchBuffer},
	}
}

func drainLogWithReceive(b *testing.B, p *endtoend.Backlog) (time.Duration, int) {
	r, err := nflog.Open(benchLogConfig(p))
	testkit.Must(b, err)
	defer r.Close()
	p.Grow(b)
	testkit.Must(b, r.SetReadDeadline(time.Now().Add(testkit.Patience)))
	calls := 0
	batch := r.NewBatch()
	start := time.Now()
	for left := p.Packets; left > 0; left -= len(batch.Packets) {
		testkit.Must(b, r.Receive(batch))
		calls++
	}
	return time.Since(start), calls
}

// drainLogWithPackets counts calls as drainWithRun does.
func drainLogWithPackets(b *testing.B, p *endtoend.Backlog) (time.Duration, int) {
	r, err := nflog.Open(benchLogConfig(p))
	testkit.Must(b, err)
	defer r.Close()
	p.Grow(b)
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	left, calls := p.Packets, 0
	var first *nflog.Packet
	start := time.Now()
	for packet, err := range r.Packets(ctx) {
		if err != nil {
			b.Fatal(err)
		}
		if first == nil {
			first = packet
		}
		if packet == first {
			calls++
		}
		if left--; left == 0 {
			break
		}
	}
	return time.Since(start), calls
}

func drainLogWithNetlink(b *testing.B, p *endtoend.Backlog) (time.Duration, int) {
	const typePacket = 4 << 8 // NFULNL_MSG_PACKET
	cfg := benchLogConfig(p)
	bind, err := cfg.Bind(cfg.Groups[0])
	testkit.Must(b, err)
	c := endtoend.NetlinkConn(b, p, bind)
	defer c.Close()
	p.Grow(b)
	calls := 0
	start := time.Now()
	for left := p.Packets; left > 0; {
		msgs, err := c.Receive()
		if err != nil {
			b.Fatal(err)
		}
		calls += 2
		for _, m := range msgs {
			if m.Header.Type == typePacket {
				left--
			}
		}
	}
	return time.Since(start), calls
}
