package nfqueue

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// This file ends the wait of packets that HoldFor holds, with one timer a
// queue.

// A deadline is when a held packet expires.
type deadline struct {
	until time.Time
	id    uint32
}

// expiry are the deadlines as a binary heap, the first of them in front.
// container/heap would allocate for each. The deadline of a packet that has another
// verdict stays, until it is reached or there are many of these.
type expiry []deadline

// minStale is how many deadlines of decided packets there must be before they are
// removed.
const minStale = 64

// push adds a deadline.
func (e *expiry) push(d deadline) {
	*e = append(*e, d)
	h := *e
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].until.Before(h[parent].until) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// pop takes the first deadline away.
func (e *expiry) pop() {
	h := *e
	n := len(h) - 1
	h[0] = h[n]
	*e = h[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < n && h[child+1].until.Before(h[child].until) {
			child++
		}
		if child >= n || !h[child].until.Before(h[i].until) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// keep takes away the deadlines for which stands is false, and all but one of
// those that are there several times: a packet that is listed again has two.
func (e *expiry) keep(stands func(deadline) bool) {
	*e = slices.DeleteFunc(*e, func(d deadline) bool { return !stands(d) })
	slices.SortFunc(*e, func(a, b deadline) int { // a sorted list is a heap
		return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.id, b.id))
	})
	*e = slices.Compact(*e)
}

// stands reports whether a deadline is still a held packet's.
func (w *waiting) stands(d deadline) bool {
	p, ok := w.held[d.id]
	return ok && p.until.Equal(d.until)
}

// arm sets the timer to the first deadline. The lock is held.
func (w *waiting) arm() { w.armIn(time.Until(w.expiry[0].until)) }

// armIn sets the timer. The lock is held.
func (w *waiting) armIn(d time.Duration) {
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
	} else {
		w.timer.Reset(d)
	}
}

// takeExpired takes up to n packets off the list that have expired. When there
// are no more of those it sets the timer for the others.
func (w *waiting) takeExpired(n int) (expired []heldPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for len(w.expiry) > 0 && len(expired) < n {
		first := w.expiry[0]
		stands := w.stands(first)
		if stands && first.until.After(now) {
			break
		}
		w.expiry.pop()
		if stands {
			p, _ := w.unlist(first.id)
			expired = append(expired, p)
		}
	}
	if len(w.expiry) > 0 && len(expired) < n && !w.closed {
		w.arm()
	}
	return expired
}

// expire sends the verdicts on packets that have expired, and reports them together.
// It is called by the timer.
func (q *Queue) expire() {
	var told problems
	defer q.tell(&told)
	for {
		expired, err := q.expireSome()
		switch n := len(expired); {
		case n == 0 || errors.Is(err, net.ErrClosed):
		case err != nil:
			told.addPacket(expired[0].id, n, fmt.Errorf("%w, and its verdict could not be sent: %w", ErrExpired, err))
		default:
			told.addPacket(expired[0].id, n, ErrExpired)
		}
		if err != nil || len(expired) < maxBatch {
			return
		}
		// More have expired. What the kernel refuses of these must not fill the
		// socket, should nobody receive.
		if q.conn.Buffer() != nil {
			q.waiting.later()
			return
		}
	}
}

// expireSome answers as many expired packets as one send may carry. After an
// error they are held for a while longer.
func (q *Queue) expireSome() ([]heldPacket, error) {
	q.answering.RLock()
	defer q.answering.RUnlock()
	expired := q.waiting.takeExpired(maxBatch)
	if len(expired) == 0 {
		return nil, nil
	}
	q.waiting.flush()
	var msgs []byte
	for _, p := range expired {
		v := Verdict{plain: p.then}
		msgs, _ = v.append(msgs, &Ticket{id: p.id, queue: q.number}, 0) // fits any, no error
	}
	n := uint64(len(expired))
	q.stats.expired.Add(n) // before anybody can see the packets go on
	if err := q.stats.counting(msgs, q.conn.Send); err != nil {
		q.stats.expired.Add(-n)
		q.waiting.retry(expired)
		return expired, err
	}
	q.ranges.answered(len(expired))
	return expired, nil
}

// retryAfter is for how long packets are held again whose verdict could not be sent,
// and those that expire meanwhile.
const retryAfter = time.Second

// retry lists expired packets again.
func (w *waiting) retry(expired []heldPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := time.Now().Add(retryAfter)
	for _, p := range expired {
		p.until = until
		w.list(p)
	}
	w.putOff()
}

// later puts expiry off.
func (w *waiting) later() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putOff()
}

// putOff sets the timer to a while from now, although packets may have expired:
// what went wrong would go wrong again at once. The lock is held.
func (w *waiting) putOff() {
	if !w.closed {
		w.armIn(retryAfter)
	}
}
