package nfqueue

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// SetVerdictAll gives v to all packets that wait in the kernel: held packets, packets
// that a handler has not decided on, packets not yet received, and packets that another
// program received from the same socket. Verdicts that handlers have returned, or that
// were given by ticket, are sent first. v can have a mark and a priority, but no other
// change.
//
// It returns nil only when no packet waits. Remove the rule first: if packets keep
// arriving for a second, or return because of Repeat, SetVerdictAll returns an error.
//
// Packets not yet received are still delivered to a handler, as with SetVerdictUpTo.
func (q *Queue) SetVerdictAll(v Verdict) error {
	q = q.orClosed()
	if !v.fitsAny() {
		return fmt.Errorf("nfqueue %d: all packets: verdict %v cannot be applied to multiple packets", q.number, v)
	}
	if _, err := q.decideAll(&v, leastRounds, allPatience); err != nil {
		return q.wrap(fmt.Errorf("all packets: %w", err))
	}
	// Some are yet to be received. They are not to count as those to which Shutdown gives
	// the fallback, as they do if this fails.
	q.inherited.n.Store(0)
	_ = q.conn.Mark(func() { q.decided.Store(q.taken) })
	return nil
}

// allPatience is how long SetVerdictAll decides on packets that keep arriving.
const allPatience = time.Second

// leastRounds is how often it does so at least: on a slow machine a single round
// may take longer than allPatience.
const leastRounds = 5

var errKeepComing = errors.New("packets keep arriving: remove the rule first")

// decideAll gives v to all packets that wait, until there are none or, after some
// rounds, patience is over. It returns how many of them had been received.
func (q *Queue) decideAll(v *Verdict, rounds int, patience time.Duration) (n int, err error) {
	q.answering.Lock()
	defer q.answering.Unlock()
	r := reach{w: &q.waiting, all: true}
	start := time.Now()
	for round := 0; ; round++ {
		if round == 1 {
			start = time.Now() // that of many packets takes its time
		}
		if round >= rounds && time.Since(start) >= patience {
			return n, errKeepComing
		}
		claimed, err := q.waiting.claimUpTo(&r)
		if err != nil {
			return n, err
		}
		found, err := q.answerAll(v)
		if err != nil {
			q.waiting.restore(claimed...)
			return n, err
		}
		q.stats.verdicts[v.action].Add(uint64(len(claimed)))
		q.ranges.answered(len(claimed))
		n += len(claimed)
		if !found && len(claimed) == 0 {
			return n, nil
		}
	}
}

// everyID are two IDs such that no ID is later than both: the oldest packet
// always gets a verdict up to one of the two (nfq_id_after). If neither verdict
// finds a packet, none waits.
var everyID = [...]uint32{1 << 30, 3 << 30}

// allPort is the port ID in the requests of answerAll, which the kernel ignores and
// echoes: so answers to other range verdicts are not mistaken for theirs.
const allPort = 1 << 31

// answerAll gives v to all packets that wait in the kernel, and reports whether
// there were any.
func (q *Queue) answerAll(v *Verdict) (found bool, err error) {
	for _, id := range everyID {
		m, _, err := engine.Next(v.appendUpTo(nil, &Ticket{id: id, queue: q.number}, 0))
		if err != nil {
			return false, err
		}
		m.PortID = allPort
		switch err := q.conn.Request(m); {
		case err == nil:
			found = true
		case !errors.Is(err, syscall.ENOENT): // which the kernel answers if there is none
			return found, err
		}
	}
	return found, nil
}
