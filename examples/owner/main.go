// Owner drops what the processes of some users send. The kernel says which user
// opened the socket that a packet comes from, at the hook output:
//
//	go run ./examples/owner -install -deny 33,1000
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_owner
//	add chain inet nfpacket_owner output { type filter hook output priority filter; }
//	add rule inet nfpacket_owner output queue flags bypass to 7
//
//	iptables -A OUTPUT -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	denied := map[uint32]bool{}
	flag.Func("deny", "drop what these `users` send: their numbers, with commas between", func(list string) error {
		for _, s := range strings.Split(list, ",") {
			uid, err := strconv.ParseUint(s, 10, 32)
			if err != nil {
				return err
			}
			denied[uint32(uid)] = true
		}
		return nil
	})
	program := rules.Parse("owner", rules.Queue(7).Bypass())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Owner: true, CopyRange: 64})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		// The kernel's own packets, such as resets, have no owner.
		if p.HasOwner && denied[p.UID] {
			log.Printf("user %d may not send %v", p.UID, p)
			return nfqueue.Drop()
		}
		return nfqueue.Accept()
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}
