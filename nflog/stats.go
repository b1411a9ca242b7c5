package nflog

import (
	"fmt"
	"sync/atomic"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Stats are counts since Open. Every packet that the kernel logged is in
// Packets, Malformed or Lost, or still on its way. If those before a group is
// unbound or closed were lost, no number that follows tells so. What rules log
// while the groups are unbound, as between a loop that was cancelled and the next,
// the kernel does not log: nothing counts it.
type Stats struct {
	Packets   uint64 // received
	Lost      uint64 // found no room on the socket
	Malformed uint64 // messages that could not be parsed

	ReadBuffer  int    // the receive buffer granted, in bytes; see nfnl.Conn.ReadBuffer
	SocketDrops uint32 // datagrams that found no room, each with all that was collected
}

// counters are what Stats is made of.
type counters struct {
	packets, lost, malformed atomic.Uint64
}

// Stats returns counts since Open.
func (r *Reader) Stats() Stats {
	r = r.orClosed()
	c := &r.stats
	return Stats{
		Packets:     c.packets.Load(),
		Lost:        c.lost.Load(),
		Malformed:   c.malformed.Load(),
		ReadBuffer:  r.conn.ReadBuffer(),
		SocketDrops: r.conn.Drops(),
	}
}

// settle does what a receive has left to do once others may receive: it counts
// and reports.
func (r *Reader) settle(b *buffer) {
	r.stats.packets.Add(uint64(len(b.packets)))
	r.stats.malformed.Add(uint64(len(b.news.malformed)))
	for _, l := range b.news.lost {
		r.stats.lost.Add(l.packets)
	}
	for _, l := range b.news.lost {
		r.report(fmt.Errorf("nflog %d: %w", l.group, &nfnl.OverrunError{Lost: l.packets}))
	}
	for _, err := range b.news.malformed {
		r.report(r.wrap(err))
	}
}

// report tells OnError.
func (r *Reader) report(err error) {
	if r.cfg().OnError != nil {
		r.cfg().OnError(err)
	}
}
