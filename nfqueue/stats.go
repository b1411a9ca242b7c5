package nfqueue

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Stats are counts since Open. Every packet that the kernel queued is counted in
// Packets, Malformed or Lost, or is still in the receive buffer. Lost packets are
// counted when the next packet is received; until then only SocketDrops has them.
type Stats struct {
	Packets   uint64 // received and parsed
	Bytes     uint64 // lengths of those packets before truncation; 0 with Config.MetadataOnly
	Lost      uint64 // dropped or accepted by the kernel because the receive buffer was full
	Bypassed  uint64 // those of Lost that were accepted, because Config.FailOpen was set when they arrived
	Full      uint64 // dropped because Config.MaxLen packets waited; 0 where Queue.KernelStats returns an error
	Malformed uint64 // messages that could not be parsed

	// Verdicts sent, by action, including fallbacks. Those that the kernel refused are
	// also in Refused, and those that came too late in Gone. Verdicts of SetVerdictUpTo
	// and SetVerdictAll are counted for packets that had been received.
	Accepted, Dropped, Stopped, Repeated, Requeued uint64

	Refused   uint64 // verdicts refused, by this package or by the kernel
	Gone      uint64 // verdicts on packets that the kernel no longer had; not complete with Config.RangeVerdicts
	Fallbacks uint64 // packets that got Config.Fallback
	Omitted   uint64 // verdicts sent without their change of the connection; see Config.BestEffort
	Expired   uint64 // held packets that got the fallback of HoldFor
	Undecided int    // received packets whose handler has not returned, or for which Send was not called
	Held      int    // packets held now
	HeldBytes int    // total length of those in bytes; with Config.MetadataOnly 64 KiB each

	SocketDrops uint32 // datagrams dropped by the socket; includes answers to requests
}

// counters hold the counts for Stats.
type counters struct {
	packets, bytes, lost, bypassed, malformed, refused, gone, fallbacks, omitted, expired atomic.Uint64

	verdicts [ActionHold]atomic.Uint64 // sent, by action
}

// Stats returns the counts since Open.
func (q *Queue) Stats() Stats {
	q = q.orClosed()
	c := &q.stats
	held, bytes := q.waiting.count()
	return Stats{
		Packets:     c.packets.Load(),
		Bytes:       c.bytes.Load(),
		Lost:        c.lost.Load(),
		Bypassed:    c.bypassed.Load(),
		Full:        q.fullNow(),
		Malformed:   c.malformed.Load(),
		Accepted:    c.verdicts[ActionAccept].Load(),
		Dropped:     c.verdicts[ActionDrop].Load(),
		Stopped:     c.verdicts[ActionStop].Load(),
		Repeated:    c.verdicts[ActionRepeat].Load(),
		Requeued:    c.verdicts[ActionRequeue].Load(),
		Refused:     c.refused.Load(),
		Gone:        c.gone.Load(),
		Fallbacks:   c.fallbacks.Load(),
		Omitted:     c.omitted.Load(),
		Expired:     c.expired.Load(),
		Undecided:   q.waiting.undecided(),
		Held:        held,
		HeldBytes:   bytes,
		SocketDrops: q.conn.Drops(),
	}
}

// LogValue implements slog.LogValuer with a group of all counts, named in lower
// case: packets, bytes, lost, and so on to held_bytes and socket_drops.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Uint64("packets", s.Packets), slog.Uint64("bytes", s.Bytes), slog.Uint64("lost", s.Lost),
		slog.Uint64("bypassed", s.Bypassed), slog.Uint64("full", s.Full), slog.Uint64("malformed", s.Malformed),
		slog.Uint64("accepted", s.Accepted), slog.Uint64("dropped", s.Dropped), slog.Uint64("stopped", s.Stopped),
		slog.Uint64("repeated", s.Repeated), slog.Uint64("requeued", s.Requeued), slog.Uint64("refused", s.Refused),
		slog.Uint64("gone", s.Gone), slog.Uint64("fallbacks", s.Fallbacks), slog.Uint64("omitted", s.Omitted),
		slog.Uint64("expired", s.Expired), slog.Int("undecided", s.Undecided), slog.Int("held", s.Held),
		slog.Int("held_bytes", s.HeldBytes), slog.Uint64("socket_drops", uint64(s.SocketDrops)),
	)
}

// add adds t to s.
func (s *Stats) add(t Stats) {
	s.Packets += t.Packets
	s.Bytes += t.Bytes
	s.Lost += t.Lost
	s.Bypassed += t.Bypassed
	s.Full += t.Full
	s.Malformed += t.Malformed
	s.Accepted += t.Accepted
	s.Dropped += t.Dropped
	s.Stopped += t.Stopped
	s.Repeated += t.Repeated
	s.Requeued += t.Requeued
	s.Refused += t.Refused
	s.Gone += t.Gone
	s.Fallbacks += t.Fallbacks
	s.Omitted += t.Omitted
	s.Expired += t.Expired
	s.Undecided += t.Undecided
	s.Held += t.Held
	s.HeldBytes += t.HeldBytes
	s.SocketDrops += t.SocketDrops
}

// counting sends verdicts with send, which is one of the Conn's, and counts them:
// before, since after it anybody can see the packets go on.
func (c *counters) counting(msgs []byte, send func([]byte) error) error {
	sent := countVerdicts(msgs)
	for action, n := range sent {
		if n > 0 {
			c.verdicts[action].Add(n)
		}
	}
	err := send(msgs)
	if err == nil {
		return nil
	}
	if at := (*engine.SendError)(nil); errors.As(err, &at) {
		msgs = msgs[at.Sent:]
	}
	for action, n := range countVerdicts(msgs) {
		c.verdicts[action].Add(-n)
	}
	return err
}

// countVerdicts counts the packets to which messages of our own give a verdict,
// by action. A range verdict has their number in place of a port ID, see
// appendUpTo.
//
//	 0        4      6       8          12        16        20          24      28
//	+--------+------+-------+----------+---------+---------+-----------+-------+----
//	| length | type | flags | sequence | port ID | generic | attribute | word  | ID
//	+--------+------+-------+----------+---------+---------+-----------+-------+----
//
// Messages that are alike are skipped together: a processor need not wait for the
// length of one to find the next.
func countVerdicts(msgs []byte) (n [ActionHold]uint64) {
	for i := 0; i+verdictLen <= len(msgs); {
		first, start, word := i, binary.NativeEndian.Uint64(msgs[i:]), msgs[i+27]
		m := msgs[i : i+verdictLen]
		length := max(nlattr.Align(int(binary.NativeEndian.Uint32(m))), verdictLen)
		for i += length; i+verdictLen <= len(msgs) && binary.NativeEndian.Uint64(msgs[i:]) == start && msgs[i+27] == word; i += length {
		}
		packets := uint64((i - first) / length)
		if nfnl.Type(binary.NativeEndian.Uint16(m[4:])) == typeVerdictBatch {
			packets, i = uint64(binary.NativeEndian.Uint32(m[12:])), first+length // one at a time
		}
		n[wordActions[word&7]] += packets
	}
	return n
}

// verdictLen is the length of the part of a verdict that has its length and its
// action, up to the ID.
const verdictLen = 28

// wordActions are the actions of the kernel's verdicts.
var wordActions = [8]Action{wordDrop: ActionDrop, wordAccept: ActionAccept, wordQueue: ActionRequeue, wordRepeat: ActionRepeat, wordStop: ActionStop}
