// Log writes a line of JSON for every packet of log group 5, with the names of its
// interfaces. It needs CAP_NET_ADMIN and rules that log packets, which -rules prints,
// and -install installs for as long as it runs. With -ulogd the lines have the keys
// of ulogd2, for what reads those of ulogd2 today.
//
//	add table inet nfpacket_log
//	add chain inet nfpacket_log output { type filter hook output priority filter; }
//	add rule inet nfpacket_log output tcp flags & (fin|syn|rst|ack) == syn log prefix "connect: " group 5
//
//	iptables -A OUTPUT -p tcp --syn -j NFLOG --nflog-group 5 --nflog-prefix "connect: "
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func main() {
	asUlogd := flag.Bool("ulogd", false, "write the keys of ulogd2")
	program := rules.Parse("log", rules.Log(5).Prefix("connect: ").Match("tcp flags & (fin|syn|rst|ack) == syn"))

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

	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	context.AfterFunc(ctx, func() { // ends the loop once it has all that was logged
		if err := r.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
	})
	lines := json.NewEncoder(os.Stdout)
	for p, err := range r.Packets(context.Background()) {
		if errors.Is(err, net.ErrClosed) { // which Shutdown is the reason for
			break
		}
		if err == nil {
			err = lines.Encode(content(p, links, *asUlogd))
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// content returns what is written of a packet.
func content(p *nflog.Packet, links *nfnl.Links, asUlogd bool) any {
	if asUlogd {
		return ulogd(p, links)
	}
	return p.Named(links)
}
