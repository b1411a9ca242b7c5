// Soak runs a program of the library under mixed traffic for a long time, and
// says whether anything grows, hangs or gets lost uncounted:
//
//	go -C bench run ./soak -time 30m
//
// It makes a network namespace of its own and needs no root. The exit status is 1
// if a packet is unaccounted for, or if memory, descriptors or goroutines grew.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	length := flag.Duration("time", time.Minute, "how long to run")
	every := flag.Duration("every", time.Minute, "how often to print a line")
	flag.Parse()
	if err := lab.Enter(); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := soak(ctx, *length, *every); err != nil {
		log.Fatal(err)
	}
}

// soak runs everything for a time, and then checks what is to be checked.
func soak(ctx context.Context, length, every time.Duration) error {
	s, err := newSite()
	if err != nil {
		return err
	}
	s.start()
	var first, last footprint
	began := time.Now()
	fmt.Println("      time  " + s.heading() + "  " + first.heading())
	for ctx.Err() == nil && time.Since(began) < length {
		select {
		case <-ctx.Done():
		case <-time.After(min(every, length-time.Since(began))):
		}
		last = tread()
		fmt.Printf("%10v  %v  %v\n", time.Since(began).Round(time.Second), s.counts(), last)
		if first == (footprint{}) {
			first = last
		}
	}
	return errors.Join(s.stop(), first.grown(last))
}
