// Accept shows and accepts every packet of queue 7. It needs CAP_NET_ADMIN and
// rules that queue packets, which -rules prints, and -install installs for as long
// as it runs:
//
//	add table inet nfpacket_accept
//	add chain inet nfpacket_accept output { type filter hook output priority filter; }
//	add rule inet nfpacket_accept output udp dport 53 queue flags bypass to 7
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	program := rules.Parse("accept", rules.Queue(7).Bypass().Match("udp dport 53"))

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

	if err := q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		fmt.Println(p)
		return nfqueue.Accept()
	}); ctx.Err() == nil { // else it was interrupted, which is how it ends
		log.Fatal(err)
	}
}
