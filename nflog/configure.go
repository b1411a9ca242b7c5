package nflog

import (
	"fmt"
	"net"
	"slices"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/format"
)

// This file sends a Config to the kernel, at Open and later.

// Configure changes the configuration of the open groups. It may be called at any time,
// also in the body of a loop, beside a loop, or while nothing receives. Packets that
// arrive before the kernel's answer are kept for the next receive, up to about 1.6
// times the size of the receive buffer. The rest is lost, and counted in Stats.Lost. To
// packets that the kernel has already collected, the previous CopyRange,
// GlobalSequence, Conntrack and FlushTimeout apply. Batch applies to loops and Batches
// that begin later.
//
// Groups cannot change. The fields of Socket must be zero or as passed to Open. If
// Configure returns an error, the configuration is unchanged. Configure needs
// CAP_NET_ADMIN, also after AdoptConn.
//
// cfg replaces the whole configuration: a zero field, such as OnError, selects its
// default. To change one field, modify the result of Config:
//
//	cfg := r.Config()
//	cfg.Threshold = 1
//	err := r.Configure(cfg)
func (r *Reader) Configure(cfg Config) error {
	r = r.orClosed()
	if err := cfg.check(); err != nil {
		return err
	}
	if err := r.sameGroups(cfg.Groups); err != nil {
		return r.wrap(err)
	}
	r.configuring.Lock()
	defer r.configuring.Unlock()
	if r.shutting.Load() {
		return r.wrap(net.ErrClosed)
	}
	old := r.cfg()
	if err := engine.Config(cfg.Socket).CheckOpen(engine.Config(old.Socket)); err != nil {
		return r.wrap(fmt.Errorf("Config.Socket.%w", err))
	}
	given := cfg
	given.Groups, given.Socket = slices.Clone(cfg.Groups), r.Config().Socket
	cfg.Groups, cfg.Socket = old.Groups, old.Socket
	if err := r.configure(cfg, r.change); err != nil {
		return r.wrap(format.Wrap("configure ", err))
	}
	r.given.Store(&given)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = nil // they may have another size
	return nil
}

// sameGroups refuses groups that are not those of r, in any order.
func (r *Reader) sameGroups(groups []uint16) error {
	same := len(groups) == len(r.groups) // and each is there once
	for _, n := range groups {
		same = same && r.index[n] != nil
	}
	if !same {
		return fmt.Errorf("Config.Groups is %d, but open groups cannot change: open another Reader", groups)
	}
	return nil
}

// configure applies cfg, with Config.BestEffort without what the kernel does not
// support. apply sends the requests; it applies all or nothing, and its error
// names the group that was refused.
func (r *Reader) configure(cfg Config, apply func(Config) (*group, error)) (err error) {
	cfg = cfg.withDefaults()
	if err := r.conn.GrowBuffers(slotSize(cfg.BufferSize, cfg.CopyRange)); err != nil {
		return fmt.Errorf("group %d: %w", r.groups[0].number, err)
	}
	var refused *group
	var c Config
	for _, c = range cfg.choices() {
		if refused, err = apply(c); err == nil {
			r.config.Store(&c)
			return nil
		}
		if !diagnose.IsFlag(err) {
			break
		}
	}
	return r.explain(refused, c, err)
}

// choices returns c and, with BestEffort, what to try if the kernel refuses it.
func (c Config) choices() []Config {
	if !c.BestEffort || !c.Conntrack {
		return []Config{c}
	}
	without := c
	without.Conntrack = false
	return []Config{c, without}
}

// change sets up all groups, or none.
func (r *Reader) change(c Config) (refused *group, err error) {
	for i := range r.groups {
		g := &r.groups[i]
		if err := r.conn.Request(c.change(g.number)); err != nil {
			for j := range i {
				r.conn.Request(r.cfg().change(r.groups[j].number))
			}
			return g, err
		}
	}
	return nil, nil
}

// explain adds the reason to the kernel's refusal of c for a group, and what to do.
func (r *Reader) explain(g *group, c Config, err error) error {
	if diagnose.IsFlag(err) {
		err = diagnose.Flag(err, c.optional())
	} else {
		err = diagnose.Refusal(r.conn, err, engine.SubsystemLog, g.number)
	}
	return format.Wrap(fmt.Sprintf("group %d: ", g.number), err)
}

// optional returns the names of the fields for features that a kernel may lack.
func (c Config) optional() (fields []string) {
	if c.Conntrack {
		fields = append(fields, "Conntrack")
	}
	if c.Flags != 0 {
		fields = append(fields, "Flags")
	}
	return fields
}
