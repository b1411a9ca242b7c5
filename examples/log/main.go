// Log prints every packet of log group 5. It needs CAP_NET_ADMIN and a rule
// that logs packets. With nft:
//
//	nft add table inet demo
//	nft add chain inet demo out '{ type filter hook output priority 0; }'
//	nft add rule inet demo out 'tcp flags & (fin|syn|rst|ack) == syn' log group 5 prefix '"connect: "'
//
// or with iptables:
//
//	iptables -I OUTPUT -p tcp --syn -j NFLOG --nflog-group 5 --nflog-prefix 'connect: '
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"

	"github.com/nfpacket/nfpacket/nflog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()

	for p, err := range r.Packets(ctx) {
		if ctx.Err() != nil && err != nil {
			break // it was interrupted, which is how it ends
		}
		if err != nil {
			log.Fatal(err)
		}
		slog.Info("logged", "packet", p)
	}
}
