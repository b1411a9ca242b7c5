package engine

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkReceive delivers packets through a socket pair and receives them.
// BenchmarkToken is what of it is not system calls.
func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			c, peer, err := Pipe(func([]byte) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			defer peer.Close()
			defer c.Close()
			batch := NewBatch(n, 4096, func(Message, error) {})
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					if err := peer.Deliver(goldenPacket); err != nil {
						b.Fatal(err)
					}
				}
				if err := c.Receive(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/packet")
		})
	}
}

// BenchmarkToken is the cost of a Receive without the system call.
func BenchmarkToken(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			c := newConn(null{goldenPacket})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r := c.Receiver(ctx)
			defer r.Close()
			batch := NewBatch(n, 4096, func(Message, error) {})
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Receive(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/packet")
		})
	}
}

func BenchmarkNext(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Next(goldenPacket); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m := Message{Type: queueVerdict, Flags: FlagRequest, Seq: 4, Resource: 5, Attrs: goldenVerdict[20:]}
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
}

func BenchmarkRequest(b *testing.B) {
	var peer *Peer
	c, peer, err := Pipe(func(msg []byte) error {
		m, _, _ := Next(msg)
		return peer.Deliver(reply(m, 0))
	})
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Request(config(5)); err != nil {
			b.Fatal(err)
		}
	}
}
