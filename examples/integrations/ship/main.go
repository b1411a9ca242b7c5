// Ship sends the records of log groups to NATS JetStream or to an OpenTelemetry
// receiver, at least once:
//
//	ship -group 5                                     # stores them in ./ship-data
//	ship -group 5 -url nats://a:4222,nats://b:4222 -replicas 3
//	ship -group 5 -otlp http://localhost:4318
//	ship -print -url nats://localhost:4222            # shows what is stored
//
// It needs CAP_NET_ADMIN and rules that log packets; -rules prints these, and
// -install installs them while it runs:
//
//	add table inet nfpacket_ship
//	add chain inet nfpacket_ship output { type filter hook output priority filter; }
//	add rule inet nfpacket_ship output tcp flags & (fin|syn|rst|ack) == syn log prefix "connect " group 5
//
//	iptables -A OUTPUT -p tcp --syn -j NFLOG --nflog-group 5 --nflog-prefix "connect "
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nflog"
)

var (
	group    = flag.Uint("group", 5, "`number` of the log group")
	url      = flag.String("url", "", "NATS servers; without one the records are stored here")
	otlp     = flag.String("otlp", "", "`URL` of an OTLP receiver, instead of NATS")
	dir      = flag.String("dir", "ship-data", "`directory` for what survives SIGKILL: counts and, without -url, records")
	port     = flag.Int("port", 4222, "`port` on localhost where they can be read, without -url")
	replicas = flag.Int("replicas", 1, "on how many servers the stream is kept")
	window   = flag.Duration("window", 10*time.Minute, "for how long NATS remembers what it has stored")
	capacity = flag.Int("ring", 100_000, "how many `records` may wait to be sent")
	print    = flag.Bool("print", false, "print what is stored")
	consumer = flag.String("consumer", "print", "`name` under which -print goes on where it ended")
)

// timeout is how long the rest may take at the end.
const timeout = 5 * time.Second

func main() {
	log.SetFlags(0)
	log.SetPrefix("ship: ")
	program := rules.Parse("ship", rules.Log(5).Prefix("connect ").Match("tcp flags & (fin|syn|rst|ack) == syn"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *print {
		err = printStream(ctx, *url, *consumer, os.Stdout)
	} else {
		err = ship(ctx, program)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// ship ships records until ctx is done.
func ship(ctx context.Context, program *rules.Program) error {
	if *group > 65535 {
		return fmt.Errorf("-group is %d, not between 0 and 65535", *group)
	}
	origin, err := newOrigin()
	if err != nil {
		return err
	}
	tally, err := openTally(*dir, uint16(*group))
	if err != nil {
		return err
	}
	sink, err := open(ctx, origin.Host)
	if err != nil {
		return err
	}
	defer sink.Close()
	var lost losses
	reader, err := nflog.Open(nflog.Config{Groups: []uint16{uint16(*group)}, OnError: lost.add})
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := program.Install(); err != nil {
		return err
	}
	sender := &Sender{Ring: NewRing(*capacity, origin.blocks()), Sink: sink, Tally: tally}
	err = run(ctx, reader, &lost, origin, sender)
	stats := reader.Stats()
	log.Printf("%d packets, %d lost in the kernel; %v", stats.Packets, stats.Lost, sender.Counts())
	return err
}

// open opens the sink that the flags name.
func open(ctx context.Context, host string) (Sink, error) {
	if *otlp != "" {
		return newOTLP(ctx, *otlp, host)
	}
	return newNATS(*url, *dir, host, uint16(*group), *replicas, *window)
}

// run reads and sends until ctx is done. What the kernel held by then is sent too,
// if there is time.
func run(ctx context.Context, r *nflog.Reader, lost *losses, origin Origin, s *Sender) error {
	links, err := r.Links()
	if err != nil {
		return err
	}
	defer links.Close()
	sending, stop := context.WithCancel(context.Background())
	defer stop()
	sent := make(chan struct{})
	go func() { s.Run(sending); close(sent) }()
	defer context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		r.Shutdown(end) // what it could not hand out is counted
	})()
	for p, perr := range r.Packets(context.Background()) {
		if perr != nil {
			err = perr
			break
		}
		rec := origin.record(p, links)
		rec.Lost = lost.take()
		rec.Number = s.Tally.log(rec.Lost)
		s.Ring.Add(rec)
	}
	s.Tally.lose(lost.take())
	for end := time.Now().Add(timeout); s.Counts().Left > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-sent
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
