//go:build linux

// Handover replaces the program that decides, and no packet is lost by it: a
// keeper holds the queue's socket and starts a worker on it, and another one
// whenever that has ended: on SIGHUP, which the keeper makes a SIGTERM, because it
// crashed, or by SIGKILL. Packets wait in the socket meanwhile.
//
//	go run ./examples/handover -install
//	kill -HUP KEEPER
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_handover
//	add chain inet nfpacket_handover output { type filter hook output priority filter; }
//	add rule inet nfpacket_handover output udp dport 53 queue to 7
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// envWorker is set for a worker, whose descriptor 3 is the socket.
const envWorker = "HANDOVER_WORKER"

var config = nfqueue.Config{Queue: 7, OnError: func(err error) { log.Print(err) }}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := keep
	if os.Getenv(envWorker) != "" {
		do = work
	}
	if err := do(ctx); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// work decides until ctx is done. The queue stays open, for the keeper has it too.
func work(ctx context.Context) error {
	conn, err := nfnl.FileConn(os.NewFile(3, "queue"))
	if err != nil {
		return err
	}
	q, err := nfqueue.OpenConn(conn, config)
	if err != nil {
		conn.Close()
		return err
	}
	defer q.Close()
	// What the worker before received and did not answer comes to nobody any more:
	// the kernel alone knows of it. A firewall says Drop here.
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		return err
	}
	fmt.Println("worker", os.Getpid())
	return q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
}
