// Dns drops the DNS queries for a name and all below it, and changes the addresses
// in the answers for another, over IPv4 and IPv6:
//
//	go run ./examples/dns -install -drop ads.example -name old.example -a 192.0.2.80
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_dns
//	add chain inet nfpacket_dns output { type filter hook output priority filter; }
//	add rule inet nfpacket_dns output udp dport 53 queue flags bypass to 7
//	add chain inet nfpacket_dns input { type filter hook input priority filter; }
//	add rule inet nfpacket_dns input udp sport 53 queue flags bypass to 7
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7 --queue-bypass
//	iptables -A INPUT -p udp --sport 53 -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"flag"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	drop := flag.String("drop", "ads.example", "drop queries for this `name` and those below it")
	name := flag.String("name", "old.example", "change the answers for this `name`")
	a := netip.MustParseAddr("192.0.2.80")
	aaaa := netip.MustParseAddr("2001:db8::80")
	flag.TextVar(&a, "a", a, "the IPv4 `address` that -name is to have")
	flag.TextVar(&aaaa, "aaaa", aaaa, "the IPv6 `address` that -name is to have")
	program := rules.Parse("dns",
		rules.Queue(7).Bypass().Match("udp dport 53"),
		rules.Queue(7).Bypass().At(rules.Input).Match("udp sport 53"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := nfnl.ParseFlow(p.Payload)
		if flow.PayloadOffset == 0 { // a fragment
			return nfqueue.Accept()
		}
		m := parse(p.Payload[flow.PayloadOffset:])
		switch {
		case !m.response && strings.HasSuffix("."+m.name, "."+*drop):
			log.Printf("dropped the query for %s", m.name)
			return nfqueue.Drop()
		case m.response && m.name == *name && m.setAddresses(a, aaaa):
			log.Printf("changed the answer for %s", m.name)
			return nfqueue.Accept().WithPayload(p.Payload)
		}
		return nfqueue.Accept()
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}
