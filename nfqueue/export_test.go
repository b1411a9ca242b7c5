package nfqueue

import "errors"

// QueuesOf returns queues that were opened one by one as OpenRange returns them,
// for those of fake kernels.
func QueuesOf(queues ...*Queue) *Queues { return &Queues{queues: queues} }

// AddStats returns the counts of two queues together.
func AddStats(a, b Stats) Stats {
	a.add(b)
	return a
}

// AskedReadBuffer returns the size of the receive buffer that one of n queues asks
// for with c, in bytes.
func AskedReadBuffer(c Config, n int) int {
	c.queues = n
	return c.withDefaults().Socket.ReadBuffer
}

// What a kernel lets a payload change, for tests that must not depend on the
// one they run on.
const (
	AnyRewrite  = anyRewrite
	SameHeaders = sameHeaders
	NoRewrite   = noRewrite
)

// Short reports whether msg, with verdicts on the packets, is sent by a system
// call that Go's scheduler does not know of, while others are held.
func Short(msg []byte, held int, packets ...Packet) bool {
	var l load
	for _, p := range packets {
		t := p.Ticket()
		l.add(&t)
	}
	return l.short(msg, held)
}

// Receivers returns how many may have packets without a verdict.
func (q *Queue) Receivers() int { return int(q.receivers.Load()) }

// Restrict says what q's kernel lets a payload change.
func (q *Queue) Restrict(r restriction) { q.restriction = r }

// Replay does what Run does with datagrams of the kernel, one packet in each, all
// but the system calls.
func (b *Batch) Replay(msgs [][]byte, h Handler) error {
	b.count(1)
	b.clear()
	for _, m := range msgs {
		b.takeRun(m)
	}
	if err := b.q.settle(b); err != nil {
		return err
	}
	for i := range b.Packets {
		v := h(&b.Packets[i])
		b.decide(&v)
	}
	b.mu.Lock()
	b.endRun()
	err := b.q.stats.counting(b.out, func([]byte) error { return nil })
	b.out = b.out[:0]
	b.mu.Unlock()
	return errors.Join(err, b.end())
}
