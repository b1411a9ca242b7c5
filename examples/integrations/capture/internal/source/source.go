// Package source turns a queue and log groups of the kernel into records.
package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

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

// A Source is an open queue, open log groups or both.
type Source struct {
	verdict nfqueue.Verdict
	queue   *nfqueue.Queue // may be nil
	log     *nflog.Reader  // may be nil
	links   *nfnl.Links

	queueLost, logLost losses
}

// Open opens the queue and the groups.
func Open(cfg Config) (*Source, error) {
	s := &Source{verdict: cfg.Verdict}
	err := s.open(cfg)
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open sets what cfg asks for.
func (s *Source) open(cfg Config) (err error) {
	if cfg.Queue < 0 && len(cfg.Groups) == 0 {
		return errors.New("nothing to capture: name a queue or a log group")
	}
	if cfg.Queue > 65535 {
		return fmt.Errorf("the queue is %d, not between 0 and 65535", cfg.Queue)
	}
	if cfg.Queue >= 0 {
		s.queue, err = nfqueue.Open(nfqueue.Config{Queue: uint16(cfg.Queue), CopyRange: cfg.CopyRange, OnError: s.queueLost.add})
		if err != nil {
			return err
		}
		if s.links, err = s.queue.Links(); err != nil {
			return err
		}
	}
	if len(cfg.Groups) > 0 {
		s.log, err = nflog.Open(nflog.Config{Groups: cfg.Groups, CopyRange: cfg.CopyRange, OnError: s.logLost.add})
		if err != nil {
			return err
		}
	}
	if s.links == nil {
		s.links, err = s.log.Links()
	}
	return err
}

// Counts returns how many packets were recorded and lost.
func (s *Source) Counts() (packets, lost uint64) {
	queued, logged := s.queue.Stats(), s.log.Stats()
	return queued.Packets + logged.Packets, queued.Lost + logged.Lost
}

// Close closes what is open.
func (s *Source) Close() { errors.Join(s.queue.Close(), s.log.Close(), s.links.Close()) }

// Run hands records to write, which is called by two goroutines if there are both
// a queue and groups, until ctx is done and what the kernel held by then is
// recorded. It returns nil then, and otherwise what ended it.
func (s *Source) Run(ctx context.Context, write func(pcapng.Record) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	if s.queue != nil {
		running.Go(func() { stop(s.runQueue(stop, write)) })
		running.Go(func() { shutdown(ctx, s.queue.Shutdown) })
	}
	if s.log != nil {
		running.Go(func() { stop(s.runLog(write)) })
		running.Go(func() { shutdown(ctx, s.log.Shutdown) })
	}
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// runQueue records and decides on queued packets until the Queue is closed.
func (s *Source) runQueue(stop context.CancelCauseFunc, write func(pcapng.Record) error) error {
	err := s.queue.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		r := pcapng.Queued(p, s.links)
		r.Lost = s.queueLost.take()
		r.Decided(s.verdict)
		if err := write(r); err != nil {
			stop(err) // the packet goes on all the same
		}
		return s.verdict
	})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// runLog records logged packets until the Reader is closed.
func (s *Source) runLog(write func(pcapng.Record) error) error {
	for p, err := range s.log.Packets(context.Background()) {
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		r := pcapng.Logged(p, s.links)
		r.Lost = s.logLost.take()
		if err := write(r); err != nil {
			return err
		}
	}
	return nil
}

// timeout is how long what waits in the kernel may take at the end.
const timeout = 2 * time.Second

// shutdown calls a method Shutdown once ctx is done. What that could not hand out
// is counted.
func shutdown(ctx context.Context, f func(context.Context) error) {
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	f(ctx)
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
