// Fanout spreads packets over a queue for each processor, and prints once a second
// how many all of them had together:
//
//	go run ./examples/fanout -install
//
// Its rules, which -rules prints and -install installs, here for four processors:
//
//	add table inet nfpacket_fanout
//	add chain inet nfpacket_fanout input { type filter hook input priority filter; }
//	add rule inet nfpacket_fanout input meta l4proto udp queue flags bypass,fanout to 0-3
//
//	iptables -A INPUT -p udp -j NFQUEUE --queue-balance 0:3 --queue-bypass --queue-cpu-fanout
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	every := flag.Duration("every", time.Second, "print the sums this often")
	n := max(2, runtime.NumCPU()) // a queue alone cannot be spread over
	program := rules.Parse("fanout", rules.Queue(0).Fanout(n).Bypass().At(rules.Input).Match("meta l4proto udp"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	qs, err := nfqueue.OpenRange(nfqueue.Config{CopyRange: 128}, n)
	if err != nil {
		log.Fatal(err)
	}
	defer qs.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}
	go report(ctx, qs, *every)

	// The handler runs in a goroutine for each queue, so that it may share nothing
	// that is not made for that.
	err = qs.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
	print(qs)
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}

// report prints the sums until ctx is done.
func report(ctx context.Context, qs *nfqueue.Queues, every time.Duration) {
	for ticker := time.NewTicker(every); ; {
		select {
		case <-ticker.C:
			print(qs)
		case <-ctx.Done():
			return
		}
	}
}

// print prints the sums, and which queue had how many packets.
func print(qs *nfqueue.Queues) {
	s := qs.Stats()
	fmt.Printf("%d packets, %d lost; by queue:", s.Packets, s.Lost)
	for i := range qs.Len() {
		fmt.Print(" ", qs.Queue(i).Stats().Packets)
	}
	fmt.Println()
}
