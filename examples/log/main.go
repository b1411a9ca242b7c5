// Log prints every packet of log group 5, with the names of its interfaces. It needs CAP_NET_ADMIN and a rule
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
	"syscall"

	"github.com/nfpacket/nfpacket/nflog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	links, err := r.Links()
	if err != nil {
		log.Fatal(err)
	}
	defer links.Close()

	log.Print("ready: what is logged to group 5 is shown here")

	context.AfterFunc(ctx, func() { r.Shutdown(context.Background()) }) // ends the loop once it has all that was logged
	for p, err := range r.Packets(context.Background()) {
		switch {
		case err == nil:
			slog.Info("logged", "packet", p.Named(links))
		case ctx.Err() == nil:
			log.Fatal(err)
		}
	}
}
