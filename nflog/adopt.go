package nflog

import (
	"fmt"
	"maps"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// AdoptConn returns a Reader for groups that are already bound to conn, for example by
// a privileged process, or by a Reader in a process that has exited while another
// process kept the socket (see nfnl.FileConn). The exited process must not have called
// Shutdown, which unbinds the groups. AdoptConn sends no request and needs no
// privilege. Fields of cfg that configure the kernel are not sent. When the Reader is
// closed, the groups stay bound as long as another process has the socket.
//
// last has, for each group, the sequence number (Packet.Seq) of the last packet that
// the previous program handled. Packets between that and the first packet received,
// even those that the previous program received and did not handle, are reported and
// counted as lost. For a group that is not in last, loss is counted only after the
// first packet received. The Reader owns conn and closes it, unless AdoptConn returns
// an error.
func AdoptConn(conn *nfnl.Conn, cfg Config, last map[uint16]uint32) (*Reader, error) {
	last = maps.Clone(last)
	return openConn((*engine.Conn)(conn), cfg, func(r *Reader, cfg Config) error { return r.adopt(cfg, last) })
}

// adopt makes r the Reader of groups that are bound.
func (r *Reader) adopt(cfg Config, last map[uint16]uint32) error {
	for n, seq := range last {
		g := r.index[n]
		if g == nil {
			return fmt.Errorf("group %d: it has a last sequence number, but is not in Config.Groups", n)
		}
		g.next, g.counted = seq+1, true
	}
	cfg = cfg.withDefaults()
	r.config.Store(&cfg)
	r.handedOver = true
	if err := r.growToLongest(); err != nil {
		return fmt.Errorf("group %d: %w", r.groups[0].number, err)
	}
	return nil
}
