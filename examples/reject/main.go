// Reject refuses connections to some networks, and lets the caller know: a verdict
// can only drop a packet, which leaves its sender waiting. So it marks the packet,
// and a rule further on rejects what has the mark:
//
//	go run ./examples/reject -install -to 192.0.2.0/24 -to 2001:db8::/32
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_reject
//	add chain inet nfpacket_reject output_mangle { type filter hook output priority mangle; }
//	add rule inet nfpacket_reject output_mangle tcp flags & (fin|syn|rst|ack) == syn queue flags bypass to 7
//	add chain inet nfpacket_reject output { type filter hook output priority filter; }
//	add rule inet nfpacket_reject output meta mark 0x1 reject
//
//	iptables -t mangle -A OUTPUT -p tcp --syn -j NFQUEUE --queue-num 7 --queue-bypass
//	iptables -A OUTPUT -m mark --mark 0x1 -j REJECT
package main

import (
	"context"
	"flag"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// rejectMark is the mark in the second rule.
const rejectMark = 0x1

func main() {
	var refused []netip.Prefix
	flag.Func("to", "refuse connections to this `network`; may be repeated", func(s string) error {
		p, err := netip.ParsePrefix(s)
		refused = append(refused, p)
		return err
	})
	program := rules.Parse("reject",
		rules.Queue(7).Bypass().In(rules.Mangle).Match("tcp flags & (fin|syn|rst|ack) == syn"),
		rules.Reject().Match("meta mark 0x1"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, CopyRange: 128})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := nfnl.ParseFlow(p.Payload)
		if slices.ContainsFunc(refused, func(n netip.Prefix) bool { return n.Contains(flow.Dst.Addr()) }) {
			log.Printf("refused %v", flow)
			return nfqueue.Accept().WithMark(rejectMark)
		}
		return nfqueue.Accept()
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}
