package nfqueue_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A packet that is held for a second at most: if the service has not answered by
// then, it is dropped.
func ExampleHoldFor() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	tickets := make(chan nfqueue.Ticket, 100)
	go func() {
		for ticket := range tickets {
			time.Sleep(10 * time.Millisecond) // asks the service
			if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
				slog.Warn("too late", "packet", ticket.ID(), "error", err)
			}
		}
	}()
	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		select {
		case tickets <- p.Ticket():
			return nfqueue.HoldFor(time.Second, nfqueue.Drop())
		default: // the service is too slow
			return nfqueue.Drop()
		}
	}))
}

// The rule is: nft add rule inet demo in queue to 0-3. The handler is called by
// four goroutines at once.
func ExampleOpenRange() {
	qs, err := nfqueue.OpenRange(nfqueue.Config{Queue: 0, CopyRange: 128}, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer qs.Close()

	go func() {
		for range time.Tick(time.Minute) {
			slog.Info("nfqueue", "stats", qs.Stats())
		}
	}()
	log.Fatal(qs.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }))
}

// One handler for the queues of two rules, which Packet.Queue tells apart.
func ExampleOpenQueues() {
	const incoming, outgoing = 7, 20
	qs, err := nfqueue.OpenQueues(nfqueue.Config{}, incoming, outgoing)
	if err != nil {
		log.Fatal(err)
	}
	defer qs.Close()

	log.Fatal(qs.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Queue == incoming && p.Len > 1000 {
			return nfqueue.Drop()
		}
		return nfqueue.Accept()
	}))
}

// The queue of another network namespace: that of a container, or one made by
// "ip netns add blue". The file can be closed once the queue is open.
func ExampleOpen_networkNamespace() {
	ns, err := os.Open("/run/netns/blue")
	if err != nil {
		log.Fatal(err)
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Socket: nfnl.Config{NetNS: int(ns.Fd())}})
	ns.Close()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	log.Fatal(q.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }))
}

// A worker takes over a queue that another process keeps, and which passed the
// socket to it as descriptor 3. Packets that wait are not lost when it ends: the
// next worker gets them. examples/handover has both programs.
func ExampleOpenConn() {
	conn, err := nfnl.FileConn(os.NewFile(3, "queue"))
	if err != nil {
		log.Fatal(err)
	}
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	// What a worker before this one had received, and not decided, is no longer on
	// the socket.
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		log.Print(err)
	}
	log.Fatal(q.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }))
}
