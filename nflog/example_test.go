package nflog_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
)

// A program that prints what is logged to group 5, until it is interrupted.
func ExampleOpen() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}, CopyRange: 128})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for p, err := range r.Packets(ctx) {
		if err != nil && ctx.Err() != nil {
			return // the packets received so far were yielded; see Shutdown for the others
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v %s%v from device %d: %d bytes\n", p.Time, p.Prefix, p.Hook, p.InDev, len(p.Payload))
	}
}

// Several groups share one Reader, and one receive buffer; Packet.Group tells them
// apart, GlobalSeq the order of their packets.
func ExampleReader_Packets() {
	const accepted, dropped = 5, 6
	r, err := nflog.Open(nflog.Config{Groups: []uint16{accepted, dropped}, GlobalSequence: true})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for p, err := range r.Packets(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if p.Group == dropped {
			fmt.Println(p.GlobalSeq, p)
		}
	}
}

// Lost packets are not fatal, but a program may want to report them.
func ExampleConfig_onError() {
	r, err := nflog.Open(nflog.Config{
		Groups:  []uint16{5},
		OnError: func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
}

// Log a lot at little cost: packets come in batches, of which some loop of the
// program's own makes the most.
func ExampleReader_Receive() {
	r, err := nflog.Open(nflog.Config{Groups: []uint16{5, 6}, Threshold: 256, CopyRange: 64})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	bytes := map[uint16]int{}
	b := r.NewBatch()
	for {
		if err := r.Receive(b); err != nil {
			log.Fatal(err)
		}
		for i := range b.Packets {
			bytes[b.Packets[i].Group] += len(b.Packets[i].Payload)
		}
	}
}

// What a program does with packets can be tested without privileges.
func ExampleReader_Packets_test() {
	testPrefixes := func(t *testing.T) {
		r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
		k.Log(
			nflog.Packet{Prefix: []byte("in "), Payload: []byte{0x45}},
			nflog.Packet{Prefix: []byte("out "), Payload: []byte{0x60}},
		)
		for p, err := range r.Packets(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if string(p.Prefix) == "out " {
				break
			}
		}
	}
	_ = testPrefixes
}
