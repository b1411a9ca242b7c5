package main

import (
	"context"
	"errors"
	"log"
	"slices"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// warm is how many verdicts go before those that are measured.
const warm = 64

// hold lets all packets wait and then decides on some of them by their tickets,
// the oldest or the newest first: what does a verdict cost while many wait?
func hold(ctx context.Context, o subject.Options) {
	q, err := nfqueue.Open(config(o))
	subject.Must(err)
	defer q.Close()
	subject.AwaitStart(q.Granted().ReadBuffer)

	count := max(o.Count, warm+o.Sample)
	tickets := collect(ctx, q, count)
	if o.Newest {
		slices.Reverse(tickets)
	}
	decide(tickets[:warm])
	m := subject.Start(o)
	decide(tickets[warm : warm+o.Sample])
	m.Report(o.Sample, o.Sample)
}

// collect takes the tickets of count packets.
func collect(ctx context.Context, q *nfqueue.Queue, count int) []nfqueue.Ticket {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tickets := make([]nfqueue.Ticket, 0, count)
	err := q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		if tickets = append(tickets, p.Ticket()); len(tickets) == count {
			cancel()
		}
		return nfqueue.Hold()
	})
	if !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	return tickets
}

func decide(tickets []nfqueue.Ticket) {
	for _, t := range tickets {
		subject.Must(t.SetVerdict(nfqueue.Accept()))
	}
}
