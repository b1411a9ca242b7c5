// Netem makes a network worse: it delays packets, lets some overtake others, and
// loses some. It keeps each packet in the kernel with HoldFor, whose fallback lets
// the packet go, so that it needs neither a goroutine nor memory for it:
//
//	go run ./examples/netem -install -delay 100ms -jitter 20ms -loss 0.01
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_netem
//	add chain inet nfpacket_netem output { type filter hook output priority filter; }
//	add rule inet nfpacket_netem output meta l4proto udp queue flags bypass to 7
//
//	iptables -A OUTPUT -p udp -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"flag"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	delay := flag.Duration("delay", 100*time.Millisecond, "hold packets for this long")
	jitter := flag.Duration("jitter", 0, "and for up to this much longer, each by itself, which reorders them")
	loss := flag.Float64("loss", 0, "lose this share of the packets, 1 is all")
	program := rules.Parse("netem", rules.Queue(7).Bypass().Match("meta l4proto udp"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, MetadataOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	// When it is to end, what is held goes on its way first.
	context.AfterFunc(ctx, func() {
		if err := q.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
	})
	err = q.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
		if rand.Float64() < *loss {
			return nfqueue.Drop()
		}
		d := *delay
		if *jitter > 0 {
			d += rand.N(*jitter)
		}
		return nfqueue.HoldFor(d, nfqueue.Accept())
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}
