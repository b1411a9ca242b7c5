package nfqueue_test

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The rule is: nft add rule inet demo out udp dport 53 queue to 7
func ExampleQueue_Run() {
	q, err := nfqueue.Open(nfqueue.Config{
		Queue:     7,
		CopyRange: 128, // headers are enough
		OnError:   func(err error) { slog.Warn("nfqueue", "error", err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		f, ok := nfnl.ParseFlow(p.Payload)
		if ok && f.Dst.Addr().IsPrivate() {
			return nfqueue.Accept()
		}
		slog.Info("dropped", "packet", p)
		return nfqueue.Drop()
	}); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// On a signal, what is queued is left to the handler, for ten seconds at most.
func ExampleQueue_Shutdown() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- q.Shutdown(late)
	}()
	err = q.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
	if ctx.Err() == nil {
		log.Fatal(err)
	}
	if err := <-ended; err != nil {
		log.Print(err) // says how many packets got the fallback
	}
}

// A handler that has to ask somebody holds the packet, so that those behind it
// do not wait.
func ExampleHold() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	allowed := func(payload []byte) bool {
		time.Sleep(time.Second) // asks a service, say
		return len(payload) < 100
	}
	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		ticket := p.Ticket()
		payload := bytes.Clone(p.Payload) // p is gone when the handler returns
		go func() {
			v := nfqueue.Drop()
			if allowed(payload) {
				v = nfqueue.Accept()
			}
			if err := ticket.SetVerdict(v); err != nil {
				slog.Warn("too late", "error", err)
			}
		}()
		return nfqueue.Hold()
	}))
}

// The rule is: nft add rule inet demo in meta mark & 1 == 0 queue to 7. What the
// program lets through goes on with the rules behind it, as if the rule had not
// matched.
func ExampleRepeat() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Len > 1000 {
			return nfqueue.Drop()
		}
		return nfqueue.Repeat().WithMark(p.Mark | 1)
	}))
}

// To change one field, change what Config returns. It may be done in the handler,
// as here.
func ExampleQueue_Configure() {
	q, err := nfqueue.Open(nfqueue.Config{
		Queue:    7,
		OnError:  func(err error) { slog.Warn("nfqueue", "error", err) },
		Fallback: nfqueue.Accept(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	packets := 0
	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if packets++; packets == 1000 {
			cfg := q.Config()
			cfg.MetadataOnly = true // seen enough; OnError and Fallback stay
			if err := q.Configure(cfg); err != nil {
				slog.Warn("configure", "error", err)
			}
		}
		return nfqueue.Accept()
	}))
}

// A program with a loop of its own decides when to receive, and what to do
// between.
func ExampleQueue_Receive() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	b := q.NewBatch()
	for {
		if err := q.Receive(b); err != nil {
			log.Fatal(err)
		}
		for i := range b.Packets {
			if b.Packets[i].Mark == 0 {
				b.Verdicts[i] = nfqueue.Accept()
			}
		}
		if err := q.Send(b); err != nil {
			log.Fatal(err)
		}
	}
}

// The helper of a protocol finds out which connection comes next. The rules give
// the first connection a helper ("ct helper set"), queue its packets, and accept
// what is related. Here the server is to answer from a port of its own choice.
func ExampleVerdict_WithExpectation() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Conntrack: true})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		c, err := p.Conntrack()
		if err != nil || p.ConntrackInfo != attr.InfoNew {
			return nfqueue.Accept()
		}
		return nfqueue.Accept().WithExpectation(attr.Expectation{
			Tuple: c.Reply,
			Mask:  netip.MustParseAddrPort("255.255.255.255:0"), // from any port
		})
	}))
}

// A packet may be changed in place. Lengths and checksums are set for it.
func ExampleVerdict_WithPayload() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Proto != 0x0800 || len(p.Payload) < 20 {
			return nfqueue.Accept()
		}
		p.Payload[1] = 0x2e << 2 // expedited forwarding
		return nfqueue.Accept().WithPayload(p.Payload)
	}))
}
