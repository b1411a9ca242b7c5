package nflog

import (
	"fmt"
	"log/slog"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Stats are counts since Open, for all groups. Each packet that the kernel logged is
// counted in Packets, Malformed or Lost, or has not been received yet. Lost packets are
// counted when the next packet of their group is received.
type Stats struct {
	Packets   uint64 // received, including those in Discarded
	Bytes     uint64 // total length of their payloads, after truncation
	Lost      uint64 // dropped because the receive buffer was full
	Malformed uint64 // messages that could not be parsed
	Discarded uint64 // received, but neither yielded by Packets nor returned by Receive when the Reader was closed

	SocketDrops uint32 // datagrams dropped because the receive buffer was full; a datagram may have many packets
}

// GroupStats are counts of one group since Open.
type GroupStats struct {
	Packets uint64 // received
	Lost    uint64 // dropped because the receive buffer was full
}

// Stats returns the counts since Open.
func (r *Reader) Stats() Stats {
	r = r.orClosed()
	s := Stats{
		Bytes:       r.bytes.Load(),
		Malformed:   r.malformed.Load(),
		Discarded:   r.discarded.Load(),
		SocketDrops: r.conn.Drops(),
	}
	for i := range r.groups {
		s.Packets += r.groups[i].packets.Load()
		s.Lost += r.groups[i].lost.Load()
	}
	return s
}

// GroupStats returns the counts of one group, which are zero for a group that is
// not in Config.Groups.
func (r *Reader) GroupStats(group uint16) GroupStats {
	g := r.orClosed().index[group]
	if g == nil {
		return GroupStats{}
	}
	return GroupStats{Packets: g.packets.Load(), Lost: g.lost.Load()}
}

// LogValue implements slog.LogValuer with a group of all counts, named in lower
// case: packets, bytes, lost, malformed, discarded and socket_drops.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Uint64("packets", s.Packets), slog.Uint64("bytes", s.Bytes), slog.Uint64("lost", s.Lost),
		slog.Uint64("malformed", s.Malformed), slog.Uint64("discarded", s.Discarded),
		slog.Uint64("socket_drops", uint64(s.SocketDrops)),
	)
}

// LogValue implements slog.LogValuer with a group that has the keys packets and lost.
func (s GroupStats) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("packets", s.Packets), slog.Uint64("lost", s.Lost))
}

// settle reports what a receive has found, after it has let others receive.
func (r *Reader) settle(n *news) {
	r.bytes.Add(n.bytes)
	r.malformed.Add(uint64(len(n.malformed)))
	for _, l := range n.lost {
		r.report(fmt.Errorf("nflog %d: %w", l.group, &nfnl.OverrunError{Group: l.group, Lost: l.packets}))
	}
	for _, err := range n.malformed {
		r.report(r.wrap(err))
	}
}

// report calls OnError.
func (r *Reader) report(err error) {
	if r.cfg().OnError != nil {
		r.cfg().OnError(err)
	}
}
