package nfqueue

import "slices"

// This file is about tickets whose SetVerdict is called before the batch of their
// packet is sent. With Run, the verdicts that handlers have returned are sent first,
// and then that of the ticket. The verdicts of a Receive loop are in Batch.Verdicts,
// which only the loop may read, and so the ticket's verdict waits for Send:
//
//	Batch.Verdicts   Accept   (Hold)   Accept
//	                            ^
//	ticket.SetVerdict ----------+
//	Send             1        2        3       in this order

// answers are verdicts of tickets that wait for Send.
type answers struct {
	list []answer // in the order of places
	msgs []byte
}

// An answer is one of them.
type answer struct {
	place      int // of the packet in the batch
	start, end int // of the message in msgs
	acked      bool
}

// clear forgets them, and does not keep a large buffer.
func (a *answers) clear() {
	a.list, a.msgs = a.list[:0], a.msgs[:0]
	if cap(a.msgs) > earlyFlush {
		a.msgs = nil
	}
}

// putAnswer takes the verdict on a packet that was claimed from b, to send it in the
// packet's place. It returns false if the verdict has to be sent at once: b is Run's,
// or Send has already reached the packet.
func (b *Batch) putAnswer(id uint32, msg []byte, acked bool) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || !b.counted {
		return false
	}
	i := b.index(id)
	if i < b.next {
		return false
	}
	a := &b.answers
	start := len(a.msgs)
	a.msgs = append(a.msgs, msg...)
	at, _ := slices.BinarySearchFunc(a.list, i, func(a answer, place int) int { return a.place - place })
	a.list = slices.Insert(a.list, at, answer{i, start, len(a.msgs), acked})
	return true
}

// placeAnswer adds the verdict that waits for the packet in a place to those that are
// sent, if there is one. The lock is held.
func (b *Batch) placeAnswer(place int) {
	for i, a := range b.answers.list {
		if a.place != place {
			continue
		}
		b.endRun()
		b.load.add(&b.tickets[place])
		b.out = append(b.out, b.answers.msgs[a.start:a.end]...)
		if !a.acked { // claim had counted it as not b's
			b.run.mine++
			b.run.queued++
		}
		b.answers.list = slices.Delete(b.answers.list, i, i+1)
		return
	}
}

// placeAnswers is placeAnswer for all packets that r reaches, before the verdict on
// those is sent. The lock is held.
func (b *Batch) placeAnswers(r *reach) {
	for i := range b.tickets {
		if b.early[i] && r.has(b.tickets[i].id) {
			b.placeAnswer(i)
		}
	}
}
