// Log prints every packet of log group 5, with the names of its interfaces. It
// needs CAP_NET_ADMIN and rules that log packets, which -rules prints, and -install
// installs for as long as it runs. With -ulogd it writes JSON lines with the keys of
// ulogd2, for what reads those of ulogd2 today.
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
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nflog"
)

func main() {
	asUlogd := flag.Bool("ulogd", false, "write JSON lines with the keys of ulogd2 to standard output")
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
		switch {
		case err == nil && *asUlogd:
			if err := lines.Encode(ulogd(p, links)); err != nil {
				log.Fatal(err)
			}
		case err == nil:
			slog.Info("logged", "packet", p.Named(links))
		case ctx.Err() == nil:
			log.Fatal(err)
		}
	}
}
