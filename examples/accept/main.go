// Accept shows and accepts every packet of queue 7. It needs CAP_NET_ADMIN and
// a rule that queues packets. With nft:
//
//	nft add table inet demo
//	nft add chain inet demo out '{ type filter hook output priority 0; }'
//	nft add rule inet demo out udp dport 53 queue flags bypass to 7
//
// or with iptables:
//
//	iptables -I OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	if err := q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		fmt.Println(p)
		return nfqueue.Accept()
	}); ctx.Err() == nil { // else it was interrupted, which is how it ends
		log.Fatal(err)
	}
}
