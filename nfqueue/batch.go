package nfqueue

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
)

// A Batch is what one Receive brought. Verdicts[i] is the verdict on
// Packets[i]; Receive sets it to Drop. All of it is valid until the next
// Receive with the same Batch. Use it again and again, one in each goroutine
// that receives.
type Batch struct {
	Packets  []Packet
	Verdicts []Verdict

	q   *Queue
	raw *nfnl.Batch

	news news

	mu      sync.Mutex // guards what follows, against the timer and tickets
	open    bool       // some packets may have no verdict yet
	next    int        // the first of those whose handler has not returned
	early   []bool     // packets whose ticket was answered before that
	out     []byte     // verdicts to be sent
	sendErr error      // of the timer
	timer   *time.Timer
	armed   bool
	late    bool // the timer has gone off in this batch
}

// news is what a receive learned besides packets.
type news struct {
	lost      uint64
	malformed []error  // what was wrong with messages
	answer    []uint32 // IDs of packets that only Fallback can answer
	refused   []error  // verdicts that the kernel refused
	gone      int      // verdicts that came too late
	fatal     error
}

// NewBatch returns a Batch with room for Config.Batch packets of
// Config.CopyRange bytes. Memory is touched only as packets need it.
func (q *Queue) NewBatch() *Batch {
	n := q.cfg.Batch
	b := &Batch{q: q, Packets: make([]Packet, 0, n), Verdicts: make([]Verdict, 0, n), early: make([]bool, 0, n)}
	b.raw = nfnl.NewBatch(n, int(q.cfg.CopyRange)+metadataRoom, b.take)
	return b
}

// clear makes room for the next receive.
func (b *Batch) clear() {
	b.Packets = b.Packets[:0]
	b.news = news{malformed: b.news.malformed[:0], answer: b.news.answer[:0], refused: b.news.refused[:0]}
}

// take sorts one message of the kernel.
func (b *Batch) take(m nfnl.Message, err error) {
	if reply, ok := m.Reply(); ok {
		b.takeReply(reply)
		return
	}
	if m.Type == typePacket && m.Resource == b.q.cfg.Queue {
		b.takePacket(m, err)
		return
	}
	if err == nil {
		err = fmt.Errorf("%w: type %#04x, resource %d", nfnl.ErrMalformed, uint16(m.Type), m.Resource)
	}
	b.news.malformed = append(b.news.malformed, err)
}

// takePacket adds a packet, or notes that it needs the fallback.
func (b *Batch) takePacket(m nfnl.Message, err error) {
	n := len(b.Packets)
	if n < cap(b.Packets) {
		b.Packets = b.Packets[:n+1]
	} else {
		b.Packets = append(b.Packets, Packet{})
	}
	p := &b.Packets[n]
	p.q = b.q
	found, wrong := p.decode(m)
	if err == nil {
		err = wrong
	}
	if found {
		b.news.lost += uint64(b.q.gap(p.ID))
	}
	if found && err == nil {
		p.corrupt = p.ChecksumUnverified && !p.ChecksumPending && !p.Truncated() && !checksumOK(p.Payload)
		return
	}
	b.Packets = b.Packets[:n]
	if found {
		b.news.answer = append(b.news.answer, p.ID)
	} else if err == nil {
		err = errNoHeader
	}
	b.news.malformed = append(b.news.malformed, err)
}

// fallbackPort is the port ID in verdicts that are a fallback. The kernel
// ignores it but echoes it, so that a refused fallback is not sent again.
const fallbackPort = 1

// takeReply notes what the kernel says of a verdict.
func (b *Batch) takeReply(r nfnl.Reply) {
	verdict := r.Type == typeVerdict
	switch {
	case r.Errno == 0:
	case verdict && r.Errno == syscall.ENOENT:
		b.news.gone++
	case verdict && (r.Errno == syscall.EPERM || r.Errno == syscall.ENODEV):
		b.news.fatal = fmt.Errorf("verdict: %w", r.Err())
	default:
		b.news.refused = append(b.news.refused, fmt.Errorf("packet %d: the kernel refused the verdict: %w", r.Seq, r.Err()))
		if verdict && r.PortID != fallbackPort {
			b.news.answer = append(b.news.answer, r.Seq)
		}
	}
}

// has reports whether a packet is in the batch.
func (b *Batch) has(id uint32) bool { return b.index(id) >= 0 }

// index returns where in Packets the one with the ID is, or -1.
func (b *Batch) index(id uint32) int {
	for i := range b.Packets {
		if b.Packets[i].ID == id {
			return i
		}
	}
	return -1
}

// claim takes a packet from its handler. It returns false if that has returned.
func (b *Batch) claim(id uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return false // Packets may be changing
	}
	i := b.index(id)
	if i < b.next || b.early[i] {
		return false
	}
	b.early[i] = true
	return true
}

// begin makes the batch ready for verdicts.
func (b *Batch) begin() {
	n := len(b.Packets)
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.Verdicts = append(b.Verdicts[:0], make([]Verdict, n)...)
	b.early = append(b.early[:0], make([]bool, n)...)
	b.open, b.next, b.late = true, 0, false
	b.mu.Unlock()
	b.q.waiting.add(b)
}

// decide takes the verdict on the next packet, and reports one that is refused.
func (b *Batch) decide(v Verdict) {
	if err := b.decideNext(v); err != nil {
		b.q.report(err)
	}
}

// decideNext encodes at once, so that the handler may use the memory of a
// payload again.
func (b *Batch) decideNext(v Verdict) (refused error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, early := &b.Packets[b.next], b.early[b.next]
	b.next++
	switch {
	case early: // its ticket was faster
	case v.action == ActionHold:
		b.q.waiting.hold(p.ID)
	default:
		refused = b.encode(v, p)
	}
	if b.late && !b.armed && len(b.out) > 0 {
		b.arm()
	}
	return refused
}

// encode appends v on p, or the fallback if it is refused.
func (b *Batch) encode(v Verdict, p *Packet) (refused error) {
	if b.out, refused = v.append(b.out, p.Ticket(), 0); refused != nil {
		b.out = b.q.appendFallback(b.out, p.ID)
		refused = b.q.refuse(p.ID, refused)
	}
	if len(b.out) >= earlyFlush {
		b.flush()
	}
	return refused
}

// earlyFlush is when verdicts with payloads are sent before the batch is
// through, so that the buffer stays small.
const earlyFlush = 64 << 10

// flush sends the verdicts there are. The lock is held meanwhile: verdicts that
// overtake each other would change the order of packets.
func (b *Batch) flush() {
	if len(b.out) == 0 {
		return
	}
	if err := b.q.conn.Send(b.out); err != nil && b.sendErr == nil {
		b.sendErr = fmt.Errorf("verdict: %w", err)
	}
	b.out = b.out[:0]
}

// end sends what is left and returns the first error of all that was sent.
func (b *Batch) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disarm()
	b.flush()
	if b.open {
		b.open = false
		b.q.waiting.remove(b)
	}
	err := b.sendErr
	b.sendErr = nil
	return err
}

// abandon gives Fallback to the packets without a verdict: their handler has
// panicked, or ended its goroutine.
func (b *Batch) abandon() {
	b.q.stats.fallbacks.Add(uint64(len(b.Packets) - b.next))
	for b.next < len(b.Packets) {
		b.decide(b.q.cfg.Fallback)
	}
	b.end()
}

// arm starts the timer. The lock is held.
func (b *Batch) arm() {
	b.armed = true
	if b.timer == nil {
		b.timer = time.AfterFunc(b.q.cfg.FlushAfter, b.ring)
	} else {
		b.timer.Reset(b.q.cfg.FlushAfter)
	}
}

// disarm stops the timer. The lock is held.
func (b *Batch) disarm() {
	if b.armed {
		b.timer.Stop()
		b.armed = false
	}
}

// ring sends what was decided while a handler takes its time. The verdicts
// that follow in this batch arm the timer again.
func (b *Batch) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed, b.late = false, true
	b.flush()
}
