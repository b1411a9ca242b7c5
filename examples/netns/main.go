// Netns prints and accepts the packets of another network namespace, such as a
// container's, without entering it:
//
//	go run ./examples/netns -install -name blue
//
// The namespace is one of ip netns, or a file: /proc/PID/ns/net of any process in
// it. Its rules, which -rules prints and -install installs there:
//
//	add table inet nfpacket_netns
//	add chain inet nfpacket_netns output { type filter hook output priority filter; }
//	add rule inet nfpacket_netns output queue flags bypass to 7
//
//	iptables -A OUTPUT -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	name := flag.String("name", "/proc/self/ns/net", "the `name` or file of the namespace")
	program := rules.Parse("netns", rules.Queue(7).Bypass())
	file := *name
	if !filepath.IsAbs(file) {
		file = filepath.Join("/run/netns", file) // where ip netns add puts it
	}
	program.NetNS = file

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ns, err := os.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Socket: nfnl.Config{NetNS: int(ns.Fd())}})
	ns.Close() // the socket keeps the namespace
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		fmt.Println(p)
		return nfqueue.Accept()
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}
