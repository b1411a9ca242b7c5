package nfqueue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Packets and verdicts are ready for slog.
func ExamplePacket_LogValue() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	p := &nfqueue.Packet{ID: 12, Queue: 7, Family: nfnl.IPv4, Hook: nfnl.Input, InDev: 2, Payload: udpPacket("hello")}
	logger.Info("decided", "packet", p, "verdict", nfqueue.Accept().WithMark(7))
	// Output:
	// level=INFO msg=decided packet.id=12 packet.queue=7 packet.family=ip packet.hook=input packet.in_index=2 packet.proto=udp packet.src=192.0.2.1:4660 packet.dst=192.0.2.2:9 packet.len=33 verdict.action=accept verdict.mark=7
}

// withoutTime makes the output of examples the same each time.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func ExamplePacket_MarshalJSON() {
	p := &nfqueue.Packet{ID: 12, Queue: 7, Family: nfnl.IPv4, Hook: nfnl.Input, InDev: 2, Payload: udpPacket("hello")}
	b, err := json.Marshal(p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", b)
	// Output:
	// {"id":12,"queue":7,"family":"ip","hook":"input","in_index":2,"proto":"udp","src":"192.0.2.1:4660","dst":"192.0.2.2:9","len":33}
}

func ExampleVerdict_MarshalJSON() {
	b, err := json.Marshal(nfqueue.Accept().WithMark(7))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", b)
	// Output:
	// {"action":"accept","mark":7}
}

// Interfaces are known by their names where there is a table of them.
func ExamplePacket_Named() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	links, err := q.Links()
	if err != nil {
		log.Fatal(err)
	}
	defer links.Close()
	log.Fatal(q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		slog.Info("accepted", "packet", p.Named(links))
		return nfqueue.Accept()
	}))
}
