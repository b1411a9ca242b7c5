package nflog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Packets are ready for slog.
func ExamplePacket_LogValue() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	p := &nflog.Packet{Group: 5, Seq: 12, Prefix: []byte("telnet "), Family: nfnl.IPv4, Hook: nfnl.Input, InDev: 2, Payload: syn}
	logger.Info("logged", "packet", p)
	// Output:
	// level=INFO msg=logged packet.group=5 packet.seq=12 packet.prefix="telnet " packet.family=ip packet.hook=input packet.in_index=2 packet.proto=tcp packet.src=192.0.2.1:40000 packet.dst=192.0.2.2:23 packet.len=40
}

// withoutTime makes the output of examples the same each time.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func ExamplePacket_MarshalJSON() {
	p := &nflog.Packet{Group: 5, Seq: 12, Prefix: []byte("telnet "), Family: nfnl.IPv4, Hook: nfnl.Input, InDev: 2, Payload: syn}
	b, err := json.Marshal(p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", b)
	// Output:
	// {"group":5,"seq":12,"prefix":"telnet ","family":"ip","hook":"input","in_index":2,"proto":"tcp","src":"192.0.2.1:40000","dst":"192.0.2.2:23","len":40}
}

// A line of JSON for each packet, with interfaces by their names.
func ExamplePacket_Named() {
	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	links, err := r.Links()
	if err != nil {
		log.Fatal(err)
	}
	defer links.Close()
	lines := json.NewEncoder(os.Stdout)
	for p, err := range r.Packets(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if err := lines.Encode(p.Named(links)); err != nil {
			log.Fatal(err)
		}
	}
}
