package nfqueue

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/engine"
)

// This file sends a Config to the kernel, at Open and later.

// Configure changes the configuration of an open queue. It may be called at any time,
// also in a handler, beside Run, or while nothing receives. It loses no packets.
// Packets already queued were prepared for the previous configuration: its CopyRange,
// Segment, Conntrack, Owner and SecurityContext apply to them. Batch applies to later
// Runs and to Batches created later.
//
// Queue and RangeVerdicts cannot change. The fields of Socket must be zero or as passed
// to Open. A receive buffer of default size is resized to the default for the new
// CopyRange. If Configure returns an error, the configuration is unchanged. While
// Shutdown is in progress the error is net.ErrClosed.
//
// cfg replaces the whole configuration: a zero field, such as OnError or Fallback,
// selects its default. To change one field, modify the result of Config:
//
//	cfg := q.Config()
//	cfg.CopyRange = 128
//	err := q.Configure(cfg)
func (q *Queue) Configure(cfg Config) error {
	q = q.orClosed()
	if err := cfg.check(); err != nil {
		return err
	}
	if cfg.Queue != q.number {
		return fmt.Errorf("nfqueue %d: Config.Queue is %d, but the number of an open queue cannot change: open another", q.number, cfg.Queue)
	}
	q.configuring.Lock()
	defer q.configuring.Unlock()
	if len(q.stopping) > 0 { // its request would add to what Shutdown waits for
		return q.wrap(fmt.Errorf("configure: Shutdown is in progress: %w", net.ErrClosed))
	}
	if old := q.cfg().RangeVerdicts; cfg.RangeVerdicts != old {
		return fmt.Errorf("nfqueue %d: Config.RangeVerdicts is %t, but the queue was opened with %t: open it again", q.number, cfg.RangeVerdicts, old)
	}
	socket := q.cfg().Socket
	if err := engine.Config(cfg.Socket).CheckOpen(engine.Config(socket)); err != nil {
		return q.wrap(fmt.Errorf("Config.Socket.%w", err))
	}
	given := cfg
	given.Socket = q.Config().Socket
	cfg.Socket, cfg.queues = socket, q.cfg().queues
	if err := q.configure(cfg, false); err != nil {
		return q.wrap(err)
	}
	q.given.Store(&given)
	return nil
}

// configure applies cfg, with Config.BestEffort without what the kernel does not
// support. bind reports whether the queue must be bound first.
func (q *Queue) configure(cfg Config, bind bool) (err error) {
	if q.fitsBuffer {
		cfg.Socket.ReadBuffer = cfg.withDefaults().readBuffer()
	}
	cfg = cfg.withDefaults()
	if err := q.conn.GrowBuffers(int(cfg.CopyRange) + metadataRoom); err != nil {
		return err
	}
	var c Config
	for _, c = range cfg.choices() {
		if err = q.request(c, bind); err == nil {
			q.config.Store(&c)
			q.conn.SetBusyPoll(c.BusyPoll)
			if q.fitsBuffer {
				q.conn.SetReadBuffer(c.Socket.ReadBuffer)
			}
			return nil
		}
		if !diagnose.IsFlag(err) {
			break
		}
	}
	return q.explain(c, err)
}

// choices returns c and, with BestEffort, what to try if the kernel refuses it.
func (c Config) choices() []Config {
	if !c.BestEffort {
		return []Config{c}
	}
	noConntrack := c
	noConntrack.Conntrack, noConntrack.ConntrackVerdicts = false, false
	noContext := c
	noContext.SecurityContext = false
	neither := noConntrack
	neither.SecurityContext = false
	return []Config{c, noContext, noConntrack, neither}
}

// request asks for c. The kernel checks flags before it does anything
// (nfqnl_recv_config), so a refusal leaves no trace.
func (q *Queue) request(c Config, bind bool) error {
	first := c
	// The kernel accepts the flag if it can change connections.
	first.Conntrack = c.Conntrack || c.ConntrackVerdicts
	var err error
	if bind {
		m := first.command(commandBind)
		m.Attrs = first.appendParams(m.Attrs)
		err = q.conn.RequestInOrder(m, func() { q.bypass.on = c.FailOpen }) // nothing was lost before
	}
	if !bind || errors.Is(err, syscall.EBUSY) {
		if bind {
			// The queue is already bound to the socket: it was passed with conn, or
			// bound by a Request whose answer was lost. Its last ID is not known
			// until a packet is received.
			q.counted = false
			q.ranges.forbid()
		}
		err = q.ask(first.adopt(), c)
	}
	if err == nil && first.Conntrack != c.Conntrack {
		err = q.ask(c.adopt(), c)
	}
	return err
}

// ask sends m, which asks for c.
func (q *Queue) ask(m engine.Message, c Config) error {
	return q.conn.RequestInOrder(m, func() { q.bypass.change(c.FailOpen) })
}

// explain adds the reason to the kernel's refusal of c, and what to do.
func (q *Queue) explain(c Config, err error) error {
	if diagnose.IsFlag(err) {
		return diagnose.Flag(err, c.optional())
	}
	return diagnose.Refusal(q.conn, err, engine.SubsystemQueue, q.number)
}

// optional returns the names of the fields for features that a kernel may lack.
func (c Config) optional() (fields []string) {
	for _, f := range []struct {
		set  bool
		name string
	}{
		{c.Conntrack, "Conntrack"},
		{c.ConntrackVerdicts, "ConntrackVerdicts"},
		{c.SecurityContext, "SecurityContext"},
		{c.Flags != 0, "Flags"},
	} {
		if f.set {
			fields = append(fields, f.name)
		}
	}
	return fields
}
