// Watch shows the flows that come to queue 7 in a live table: their rates, what was
// decided, what was lost, and what the kernel's queue holds. It accepts everything,
// except packets to the ports of -drop:
//
//	go run ./examples/watch -demo           # needs no root: traffic of its own
//	go run ./examples/watch -install -drop 5003
//
// Keys: p pauses, s sorts by the next column, r turns the order round, / filters
// (Enter ends the typing, Esc takes the filter away), q quits. Where its output is
// no terminal it prints lines.
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_watch
//	add chain inet nfpacket_watch input { type filter hook input priority filter; }
//	add rule inet nfpacket_watch input queue flags bypass to 7
//	add chain inet nfpacket_watch output { type filter hook output priority filter; }
//	add rule inet nfpacket_watch output queue flags bypass to 7
//
//	iptables -A INPUT -j NFQUEUE --queue-num 7 --queue-bypass
//	iptables -A OUTPUT -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	var o options
	o.addFlags()
	all := rules.Queue(7).Bypass()
	program := rules.Parse("watch", all.At(rules.Input), all.At(rules.Output))
	if err := run(program, o); err != nil {
		log.Fatal(err)
	}
}

func run(program *rules.Program, o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.demo {
		if err := enterDemo(); err != nil { // from here on in a namespace of our own
			return err
		}
		o.drop[demoDropped] = true
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, CopyRange: 128})
	if err != nil {
		return err
	}
	defer q.Close()
	if o.demo {
		err = startDemo(ctx)
	} else {
		err = program.Install()
	}
	if err != nil {
		return err
	}

	t := newTable(time.Now())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict { return decide(t, o.drop, p) }) }()
	show(ctx, stop, screen{queue: q, table: t, every: o.every, frame: o.frame})
	stop()
	if err := <-ended; ctx.Err() == nil {
		return err
	}
	return nil
}

// decide counts a packet and returns the verdict on it.
func decide(t *table, drop map[uint16]bool, p *nfqueue.Packet) nfqueue.Verdict {
	flow, ok := nfnl.ParseFlow(p.Payload)
	dropped := ok && drop[flow.Dst.Port()]
	t.add(flow, p.Len, dropped, time.Now())
	if dropped {
		return nfqueue.Drop()
	}
	return nfqueue.Accept()
}
