//go:build linux

package endtoend

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func BenchmarkLog(b *testing.B) {
	for _, threshold := range []uint16{1, logThreshold} {
		b.Run(fmt.Sprintf("threshold %d", threshold), func(b *testing.B) {
			compare(b, newPile(b, lab.UDP(9999), lab.Log(5, "bench", 0, threshold)), []way{
				{"netlink.Conn", drainLogWithNetlink},
				{"Receive", drainLogWithReceive},
				{"Packets", drainLogWithPackets},
			})
		})
	}
}

func benchLogConfig(p *pile) nflog.Config {
	return nflog.Config{
		Groups:    []uint16{5},
		Threshold: logThreshold, // the rule's may be lower
		Socket:    nfnl.Config{NetNS: p.net.FD(), ReadBuffer: benchBuffer},
	}
}

func drainLogWithReceive(b *testing.B, p *pile) (time.Duration, int) {
	r, err := nflog.Open(benchLogConfig(p))
	must(b, err)
	defer r.Close()
	p.grow(b)
	must(b, r.SetReadDeadline(time.Now().Add(patience)))
	calls := 0
	batch := r.NewBatch()
	start := time.Now()
	for left := p.packets; left > 0; left -= len(batch.Packets) {
		must(b, r.Receive(batch))
		calls++
	}
	return time.Since(start), calls
}

// drainLogWithPackets counts calls as drainWithRun does.
func drainLogWithPackets(b *testing.B, p *pile) (time.Duration, int) {
	r, err := nflog.Open(benchLogConfig(p))
	must(b, err)
	defer r.Close()
	p.grow(b)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left, calls := p.packets, 0
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

func drainLogWithNetlink(b *testing.B, p *pile) (time.Duration, int) {
	const typePacket = 4 << 8 // NFULNL_MSG_PACKET
	cfg := benchLogConfig(p)
	bind, err := cfg.Bind(cfg.Groups[0])
	must(b, err)
	c := netlinkConn(b, p, bind)
	defer c.Close()
	p.grow(b)
	calls := 0
	start := time.Now()
	for left := p.packets; left > 0; {
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
