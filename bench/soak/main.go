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
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	length := flag.Duration("time", time.Minute, "how long to run")
	every := flag.Duration("every", 0, "how often to print a line: 0 means a tenth of the time, a minute at most")
	flag.Parse()
	if *every == 0 {
		*every = usual(*length)
	}
	if *every > *length/2 {
		log.Fatal("-every is more than half of -time: growth is what two lines differ by")
	}
	if err := lab.Enter(); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	fmt.Println("      time  " + s.heading() + "  " + footprint{}.heading())
	grown := watch(ctx, length, every, func(passed time.Duration) footprint {
		f := tread()
		fmt.Printf("%10v  %v  %v\n", passed.Round(time.Second), s.counts(), f)
		return f
	})
	return errors.Join(s.stop(), grown)
}

// usual returns how often to print a line by default.
func usual(length time.Duration) time.Duration { return min(length/10, time.Minute) }

// watch takes footprints for a time, and returns an error if the last is larger
// than the first, which is taken when everything has started.
func watch(ctx context.Context, length, every time.Duration, take func(passed time.Duration) footprint) error {
	var first, last footprint
	began := time.Now()
	for ctx.Err() == nil && time.Since(began) < length {
		select {
		case <-ctx.Done():
		case <-time.After(min(every, length-time.Since(began))):
		}
		last = take(time.Since(began))
		if first == (footprint{}) {
			first = last
		}
	}
	return first.grown(last)
}
