package nflog

import (
	"fmt"
	"maps"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// AdoptConn returns a Reader for groups that are already bound to conn, for example by
// a privileged process, or by a Reader in a process that exited while another process
// kept the socket; see nfnl.FileConn. It sends no request and needs no privilege;
// fields of cfg that configure the kernel are ignored. When the Reader is closed, the
// groups stay bound as long as another process has the socket.
//
// last maps a group to the sequence number (Packet.Seq) of the last packet of it that
// was handled before. Packets between that and the first packet received, such as those
// that the previous Reader received and did not handle, are reported and counted as
// lost. For a group that is not in last, counting begins with the first packet. The
// Reader owns conn and closes it, unless AdoptConn returns an error.
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
