// Flow looks at the first packets of each connection to port 80 only. Once it has
// seen what is asked for it marks the connection, and rules before that of the
// queue let the rest pass, or drop it, in the kernel:
//
//	go run ./examples/flow -install -host ads.example
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_flow
//	add chain inet nfpacket_flow output { type filter hook output priority filter; }
//	add rule inet nfpacket_flow output ct mark 0x1 accept
//	add rule inet nfpacket_flow output ct mark 0x2 drop
//	add rule inet nfpacket_flow output tcp dport 80 queue flags bypass to 7
//
//	iptables -A OUTPUT -m connmark --mark 0x1 -j ACCEPT
//	iptables -A OUTPUT -m connmark --mark 0x2 -j DROP
//	iptables -A OUTPUT -p tcp --dport 80 -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"bytes"
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The marks of connections in the rules, and all bits of a mark.
const (
	passMark = 0x1
	dropMark = 0x2
	allBits  = 0xffffffff
)

func main() {
	host := flag.String("host", "ads.example", "drop connections that ask for this `name`")
	program := rules.Parse("flow",
		rules.Accept().Match("ct mark 0x1"),
		rules.Drop().Match("ct mark 0x2"),
		rules.Queue(7).Bypass().Match("tcp dport 80"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, ConntrackVerdicts: true})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	header := []byte("\r\nHost: " + *host + "\r\n")
	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := nfnl.ParseFlow(p.Payload)
		switch {
		case flow.PayloadOffset == len(p.Payload): // no data: the handshake
			return nfqueue.Accept()
		case bytes.Contains(p.Payload[flow.PayloadOffset:], header):
			log.Printf("dropped %v", p)
			return nfqueue.Drop().WithConntrackMark(dropMark, allBits)
		}
		return nfqueue.Accept().WithConntrackMark(passMark, allBits)
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}
