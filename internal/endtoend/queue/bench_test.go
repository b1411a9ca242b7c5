//go:build linux

package queue

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func BenchmarkQueue(b *testing.B) {
	p := endtoend.NewBacklog(b, lab.UDP(9999), lab.Queue(0))
	endtoend.CompareDrains(b, p, []endtoend.Drain{
		{Name: "netlink.Conn", Take: drainWithNetlink},
		{Name: "Receive and Send", Take: drainWithReceive},
		{Name: "Run accept", Take: drainWithRun(endtoend.Accept)},
		{Name: "Run mark", Take: drainWithRun(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept().WithMark(7) })},
		{Name: "Run payload", Take: drainWithRun(func(p *nfqueue.Packet) nfqueue.Verdict {
			p.Payload[endtoend.IPv4.Headers]++
			return nfqueue.Accept().WithPayload(p.Payload)
		})},
	})
}

// benchQueue opens a queue with room for a pile.
func benchQueue(b *testing.B, p *endtoend.Backlog) *nfqueue.Queue {
	b.Helper()
	q, err := nfqueue.Open(benchConfig(p))
	testkit.Must(b, err)
	return q
}

func benchConfig(p *endtoend.Backlog) nfqueue.Config {
	return nfqueue.Config{MaxLen: 1 << 16, Socket: nfnl.Config{NetNS: p.Net.FD(), ReadBuffer: endtoend.BenchBuffer}}
}

// drainWithRun counts two calls for each batch; that a new one has come shows
// in the address of its first packet.
func drainWithRun(h nfqueue.Handler) func(*testing.B, *endtoend.Backlog) (time.Duration, int) {
	return func(b *testing.B, p *endtoend.Backlog) (time.Duration, int) {
		q := benchQueue(b, p)
		defer q.Close()
		p.Grow(b)
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		left, calls := p.Packets, 0
		var first *nfqueue.Packet
		start := time.Now()
		err := q.Run(ctx, func(packet *nfqueue.Packet) nfqueue.Verdict {
			if first == nil {
				first = packet
			}
			if packet == first {
				calls += 2
			}
			if left--; left == 0 {
				cancel()
			}
			return h(packet)
		})
		elapsed := time.Since(start)
		if left > 0 {
			b.Fatalf("%d packets missing: %v", left, err)
		}
		return elapsed, calls
	}
}

func drainWithReceive(b *testing.B, p *endtoend.Backlog) (time.Duration, int) {
	q := benchQueue(b, p)
	defer q.Close()
	p.Grow(b)
	testkit.Must(b, q.SetReadDeadline(time.Now().Add(testkit.Patience)))
	calls := 0
	batch := q.NewBatch()
	start := time.Now()
	for left := p.Packets; left > 0; left -= len(batch.Packets) {
		testkit.Must(b, q.Receive(batch))
		for i := range batch.Verdicts {
			batch.Verdicts[i] = nfqueue.Accept()
		}
		testkit.Must(b, q.Send(batch))
		calls += 2
	}
	return time.Since(start), calls
}

// drainWithNetlink answers each packet on its own. Its Receive makes two calls,
// one of them to learn how long the message is.
func drainWithNetlink(b *testing.B, p *endtoend.Backlog) (time.Duration, int) {
	const (
		typeVerdict       = 3<<8 | 1 // NFQNL_MSG_VERDICT
		attrVerdictHeader = 2        // NFQA_VERDICT_HDR
		packetID          = 4 + 4    // behind struct nfgenmsg and the header of the first attribute
		accept            = 1        // NF_ACCEPT
	)
	bind, err := benchConfig(p).Bind()
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
			verdict := binary.BigEndian.AppendUint32(nil, accept)
			verdict = append(verdict, m.Data[packetID:packetID+4]...)
			if _, err := c.Send(netlink.Message{
				Header: netlink.Header{Type: typeVerdict, Flags: netlink.Request},
				Data:   attr.AppendBytes(make([]byte, 4, 16), attrVerdictHeader, verdict),
			}); err != nil {
				b.Fatal(err)
			}
			calls++
			left--
		}
	}
	return time.Since(start), calls
}
