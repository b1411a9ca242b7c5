// Package source turns a queue and log groups of the kernel into records.
package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nfpacket/nfpacket/examples/integrations/capture/pcapng"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Config says what to record.
type Config struct {
	Queue     int      // number of the queue; none if it is negative
	Groups    []uint16 // log groups; none if it is empty
	CopyRange uint32   // see nfqueue.Config and nflog.Config

	// Verdict is what queued packets get. The zero Verdict drops them.
	Verdict nfqueue.Verdict
}

// Counts are what became of the packets.
type Counts struct{ Packets, Lost uint64 }

// Run hands records to write, which is called by two goroutines if there are both
// a queue and groups, until ctx is done. It returns nil then, and what ended it
// otherwise.
func Run(ctx context.Context, cfg Config, write func(pcapng.Record) error) (Counts, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	var queued, logged Counts
	if cfg.Queue >= 0 {
		running.Go(func() {
			var err error
			if queued, err = runQueue(ctx, cfg, stop, write); err != nil {
				stop(err)
			}
		})
	}
	if len(cfg.Groups) > 0 {
		running.Go(func() {
			var err error
			if logged, err = runLog(ctx, cfg, write); err != nil {
				stop(err)
			}
		})
	}
	<-ctx.Done()
	running.Wait()
	counts := Counts{queued.Packets + logged.Packets, queued.Lost + logged.Lost}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return counts, err
	}
	return counts, nil
}

// runQueue records and decides on queued packets.
func runQueue(ctx context.Context, cfg Config, stop context.CancelCauseFunc, write func(pcapng.Record) error) (Counts, error) {
	if cfg.Queue > 65535 {
		return Counts{}, fmt.Errorf("the queue is %d, not between 0 and 65535", cfg.Queue)
	}
	var lost losses
	q, err := nfqueue.Open(nfqueue.Config{Queue: uint16(cfg.Queue), CopyRange: cfg.CopyRange, OnError: lost.add})
	if err != nil {
		return Counts{}, err
	}
	defer q.Close()
	links, err := q.Links()
	if err != nil {
		return Counts{}, err
	}
	defer links.Close()
	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		r := pcapng.Queued(p, links)
		r.Lost = lost.take()
		r.Decided(cfg.Verdict)
		if err := write(r); err != nil {
			stop(err)
		}
		return cfg.Verdict
	})
	stats := q.Stats()
	return Counts{stats.Packets, stats.Lost}, unlessStopped(ctx, err)
}

// runLog records logged packets. When ctx is done it records what the kernel had
// collected, too.
func runLog(ctx context.Context, cfg Config, write func(pcapng.Record) error) (Counts, error) {
	var lost losses
	r, err := nflog.Open(nflog.Config{Groups: cfg.Groups, CopyRange: cfg.CopyRange, OnError: lost.add})
	if err != nil {
		return Counts{}, err
	}
	defer r.Close()
	links, err := r.Links()
	if err != nil {
		return Counts{}, err
	}
	defer links.Close()
	for p, perr := range r.Packets(ctx) {
		if perr != nil {
			err = unlessStopped(ctx, perr)
			break
		}
		record := pcapng.Logged(p, links)
		record.Lost = lost.take()
		if err = write(record); err != nil {
			break
		}
	}
	stats := r.Stats()
	return Counts{stats.Packets, stats.Lost}, err
}

// unlessStopped returns err unless it is ctx's.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// losses adds up packets that were lost, for the next record.
type losses struct{ n atomic.Uint64 }

// add is a Config's OnError.
func (l *losses) add(err error) {
	if o := (*nfnl.OverrunError)(nil); errors.As(err, &o) {
		l.n.Add(o.Lost)
	}
}

// take returns what was lost since it was asked last.
func (l *losses) take() uint64 {
	if l.n.Load() == 0 {
		return 0
	}
	return l.n.Swap(0)
}
