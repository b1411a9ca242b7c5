// Split sends a TLS ClientHello in two TCP segments. It drops the segment that the
// kernel has made and sends two of its own through a raw socket, with a mark that
// keeps the rule from queueing them again:
//
//	go run ./examples/split -install -at 5
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_split
//	add chain inet nfpacket_split output { type filter hook output priority filter; }
//	add rule inet nfpacket_split output meta mark != 0x10 tcp dport 443 queue flags bypass to 7
//
//	iptables -A OUTPUT -m mark ! --mark 0x10 -p tcp --dport 443 -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// ownMark is the mark of what this program sends, which the rule leaves alone.
const ownMark = 0x10

func main() {
	at := flag.Int("at", 5, "cut the ClientHello after this many `bytes`")
	program := rules.Parse("split", rules.Queue(7).Bypass().Match("meta mark != 0x10 tcp dport 443"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	send, err := rawSender(ownMark)
	if err != nil {
		log.Fatal(err)
	}
	// Segment, for a raw socket sends no more than the MTU.
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Segment: true})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := nfnl.ParseFlow(p.Payload)
		if data := p.Payload[flow.PayloadOffset:]; flow.TCPFlags == 0 || !isClientHello(data) || len(data) <= *at {
			return nfqueue.Accept()
		}
		first, second, err := cut(p.Payload, flow, *at)
		if err := errors.Join(err, send(first), send(second)); err != nil {
			log.Print(err)
			return nfqueue.Accept() // what came twice is TCP's to sort out
		}
		log.Printf("split %v", p)
		return nfqueue.Drop()
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}

// isClientHello reports whether data begins a TLS handshake (RFC 8446, sections 4
// and 5.1).
//
//	| handshake 22 | version 3.x | length 2 | ClientHello 1 | ...
func isClientHello(data []byte) bool {
	return len(data) > 5 && data[0] == 22 && data[1] == 3 && data[5] == 1
}

// cut returns two segments in place of one: the first has so many bytes of its data.
func cut(segment []byte, flow nfnl.Flow, at int) (first, second []byte, err error) {
	header, data := segment[:flow.PayloadOffset], segment[flow.PayloadOffset:]
	first = append(append(first, header...), data[:at]...)
	second = append(append(second, header...), data[at:]...)
	sequence := second[flow.TransportOffset+4:]
	binary.BigEndian.PutUint32(sequence, binary.BigEndian.Uint32(sequence)+uint32(at))
	return first, second, errors.Join(nfqueue.Finish(first), nfqueue.Finish(second))
}
