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

	// Link is what records begin with. pcapng.NFLOG and pcapng.Netlink records are
	// netlink messages as they come and go.
	Link pcapng.Link

	// Verdict is what queued packets get. The zero Verdict drops them.
	Verdict nfqueue.Verdict
}

// A Source is an open queue, open log groups or both.
type Source struct {
	cfg   Config
	write func(pcapng.Record) error
	queue *nfqueue.Queue // may be nil
	log   *nflog.Reader  // may be nil
	links *nfnl.Links

	queueLost, logLost losses

	// stop ends Run. It can be called before that.
	ctx  context.Context
	stop context.CancelCauseFunc
}

// Open opens the queue and the groups. Records go to write, which is called by
// several goroutines if there is more than one of them.
func Open(cfg Config, write func(pcapng.Record) error) (*Source, error) {
	s := &Source{cfg: cfg, write: write}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open opens what the configuration names.
func (s *Source) open() (err error) {
	switch cfg := s.cfg; {
	case cfg.Queue < 0 && len(cfg.Groups) == 0:
		return errors.New("nothing to capture: name a queue or a log group")
	case cfg.Queue > 65535:
		return fmt.Errorf("the queue is %d, not between 0 and 65535", cfg.Queue)
	case cfg.Queue >= 0 && cfg.Link == pcapng.NFLOG:
		return errors.New("the link type NFLOG is for log groups alone")
	}
	if s.cfg.Queue >= 0 {
		if err := s.openQueue(); err != nil {
			return err
		}
	}
	if len(s.cfg.Groups) > 0 {
		return s.openLog()
	}
	return nil
}

// openQueue opens the queue.
func (s *Source) openQueue() (err error) {
	s.queue, err = nfqueue.Open(nfqueue.Config{
		Queue: uint16(s.cfg.Queue), CopyRange: s.cfg.CopyRange, OnError: s.queueLost.add, Socket: s.socket(),
	})
	if err == nil {
		s.links, err = s.queue.Links()
	}
	return err
}

// openLog opens the groups.
func (s *Source) openLog() (err error) {
	s.log, err = nflog.Open(nflog.Config{
		Groups: s.cfg.Groups, CopyRange: s.cfg.CopyRange, OnError: s.logLost.add, Socket: s.socket(),
	})
	if err == nil && s.links == nil {
		s.links, err = s.log.Links()
	}
	return err
}

// socket returns the configuration of a socket: one with a tap, if messages are to
// be recorded.
func (s *Source) socket() nfnl.Config {
	switch s.cfg.Link {
	case pcapng.Netlink:
		return nfnl.Config{Tap: func(sent bool, datagram []byte) { s.record(pcapng.Datagram(sent, datagram)) }}
	case pcapng.NFLOG:
		return nfnl.Config{Tap: func(_ bool, datagram []byte) {
			for r := range pcapng.LogMessages(datagram) {
				s.record(r)
			}
		}}
	}
	return nfnl.Config{}
}

// record writes a record; an error ends Run.
func (s *Source) record(r pcapng.Record) {
	if err := s.write(r); err != nil {
		s.stop(err)
	}
}

// Counts returns how many packets were recorded and lost.
func (s *Source) Counts() (packets, lost uint64) {
	queued, logged := s.queue.Stats(), s.log.Stats()
	return queued.Packets + logged.Packets, queued.Lost + logged.Lost
}

// Close closes what is open.
func (s *Source) Close() { errors.Join(s.queue.Close(), s.log.Close(), s.links.Close()) }

// Run records until ctx is done, and then what the kernel held. It returns nil
// then, and otherwise what ended it.
func (s *Source) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { s.stop(nil) })()
	var running sync.WaitGroup
	if s.queue != nil {
		running.Go(func() { s.stop(s.runQueue()) })
		running.Go(func() { shutdown(s.ctx, s.queue.Shutdown) })
	}
	if s.log != nil {
		running.Go(func() { s.stop(s.runLog()) })
		running.Go(func() { shutdown(s.ctx, s.log.Shutdown) })
	}
	running.Wait()
	if err := context.Cause(s.ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// runQueue records and decides on queued packets until the Queue is closed.
func (s *Source) runQueue() error {
	err := s.queue.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if s.cfg.Link == pcapng.SLL2 {
			r := pcapng.Queued(p, s.links)
			r.Lost = s.queueLost.take()
			r.Decided(s.cfg.Verdict)
			s.record(r)
		}
		return s.cfg.Verdict
	})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// runLog records logged packets until the Reader is closed.
func (s *Source) runLog() error {
	for p, err := range s.log.Packets(context.Background()) {
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.cfg.Link == pcapng.SLL2 {
			r := pcapng.Logged(p, s.links)
			r.Lost = s.logLost.take()
			s.record(r)
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
