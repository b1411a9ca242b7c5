package nflog

import (
	"fmt"
	"maps"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// AdoptConn returns a Reader of groups that the connection has already, set up
// by whoever bound them: a program with more privilege, or a Reader before this
// one that was killed while another process kept the socket. See nfnl.FileConn.
// Nothing is asked of the kernel, so it takes no privilege, and fields of cfg that
// only the kernel needs are not used. The groups stay bound when the Reader ends,
// as long as anybody else has the socket.
//
// last has the sequence numbers of the last packets that were handled before, by
// group: Packet.Seq. What is missing between that and the first packet that comes,
// such as what the Reader before had received and not handled, is reported and
// counted as lost. For a group that is not in last, or with a nil last, counting
// begins with the first packet. The connection belongs to the Reader unless there
// is an error.
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
