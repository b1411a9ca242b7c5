package nfqueue

import "sync/atomic"

// Stats are counts since Open. Every packet that the kernel queued is in
// Packets, Malformed or Lost, or still on the socket.
type Stats struct {
	Packets   uint64 // received and parsed
	Lost      uint64 // the receive buffer was full: dropped or bypassed
	Bypassed  uint64 // of Lost: let through uninspected, since Config.FailOpen was set when they came
	Full      uint64 // dropped because Config.MaxLen packets waited; 0 where Queue.KernelStats returns an error
	Malformed uint64 // messages that could not be parsed
	Refused   uint64 // verdicts refused, by this package or by the kernel
	Gone      uint64 // verdicts for packets the kernel no longer had; with Config.RangeVerdicts, of a range only if none reached a packet
	Fallbacks uint64 // packets that got Config.Fallback
	Omitted   uint64 // verdicts without the change of a connection that could not be made; see Config.BestEffort
	Expired   uint64 // held packets that got the fallback of HoldFor
	Undecided int    // packets received whose handler has not returned, or for which Send was not called
	Held      int    // packets held now
	HeldBytes int    // of those; with Config.MetadataOnly 64 KiB each, for their length is not known

	ReadBuffer  int    // the receive buffer granted, in bytes; see nfnl.Conn.ReadBuffer
	SocketDrops uint32 // datagrams that found no room; more than Lost if answers are among them
}

// counters are what Stats is made of.
type counters struct {
	packets, lost, bypassed, malformed, refused, gone, fallbacks, omitted, expired atomic.Uint64
}

// Stats returns counts since Open.
func (q *Queue) Stats() Stats {
	q = q.orClosed()
	c := &q.stats
	held, bytes := q.waiting.count()
	return Stats{
		Packets:     c.packets.Load(),
		Lost:        c.lost.Load(),
		Bypassed:    c.bypassed.Load(),
		Full:        q.fullNow(),
		Malformed:   c.malformed.Load(),
		Refused:     c.refused.Load(),
		Gone:        c.gone.Load(),
		Fallbacks:   c.fallbacks.Load(),
		Omitted:     c.omitted.Load(),
		Expired:     c.expired.Load(),
		Undecided:   q.waiting.undecided(),
		Held:        held,
		HeldBytes:   bytes,
		ReadBuffer:  q.conn.ReadBuffer(),
		SocketDrops: q.conn.Drops(),
	}
}
