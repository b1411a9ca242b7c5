// Hold asks a slow service about every new connection to port 443, and holds the
// connection's first packet until the answer is there. A pool of goroutines asks,
// so that one slow answer does not keep the others waiting; after a deadline the
// packet goes where -late says:
//
//	go run ./examples/hold -install -service http://127.0.0.1:8080/may -late drop
//
// The service is asked for -service?to=ADDRESS:PORT, and says yes with status 200.
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_hold
//	add chain inet nfpacket_hold output { type filter hook output priority filter; }
//	add rule inet nfpacket_hold output tcp dport 443 tcp flags & (fin|syn|rst|ack) == syn queue to 7
//
//	iptables -A OUTPUT -p tcp --dport 443 --syn -j NFQUEUE --queue-num 7
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A question is about a packet that waits in the kernel.
type question struct {
	ticket nfqueue.Ticket
	to     string
}

func main() {
	service := flag.String("service", "http://127.0.0.1:8080/", "ask at this `URL`")
	deadline := flag.Duration("deadline", time.Second, "wait this long for an answer")
	late := flag.String("late", "drop", "what becomes of packets without one: drop or accept")
	pool := flag.Int("pool", 16, "ask this many questions at a time")
	program := rules.Parse("hold",
		rules.Queue(7).Match("tcp dport 443 tcp flags & (fin|syn|rst|ack) == syn"))
	fallback := nfqueue.Drop()
	if *late == "accept" {
		fallback = nfqueue.Accept()
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, CopyRange: 128, Fallback: fallback})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	questions := make(chan question, *pool)
	for range *pool {
		go answer(questions, *service, *deadline)
	}
	// When it is to end, what is held gets its answer or its fallback first.
	context.AfterFunc(ctx, func() {
		if err := q.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
	})
	err = q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := nfnl.ParseFlow(p.Payload)
		select {
		case questions <- question{p.Ticket(), flow.Dst.String()}:
			return nfqueue.HoldFor(*deadline, fallback)
		default:
			log.Printf("the pool is busy: %v", flow)
			return fallback
		}
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}

// answer decides on packets as the service says.
func answer(questions <-chan question, service string, deadline time.Duration) {
	client := http.Client{Timeout: deadline}
	for q := range questions {
		verdict := nfqueue.Drop()
		reply, err := client.Get(service + "?to=" + url.QueryEscape(q.to))
		if err != nil {
			log.Print(err)
			continue // the fallback comes at the deadline
		}
		reply.Body.Close()
		if reply.StatusCode == http.StatusOK {
			verdict = nfqueue.Accept()
		}
		if err := q.ticket.SetVerdict(verdict); err != nil && !errors.Is(err, nfqueue.ErrDecided) {
			log.Print(err)
		}
	}
}
