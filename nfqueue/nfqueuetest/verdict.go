package nfqueuetest

import (
	"encoding/binary"
	"slices"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// decide does what a verdict message says, in the order of nfqnl_recv_verdict
// and nfqnl_recv_verdict_batch: an error leaves the packets waiting.
func (k *Kernel) decide(m nfnl.Message) error {
	word, id, found, err := readHeader(m)
	switch {
	case err != nil:
		return err
	case !k.has(m.Resource):
		return syscall.ENODEV
	case !found || word&wordMask > wordStop || word&wordMask == wordStolen:
		return syscall.EINVAL
	}
	v, ok := action(word)
	if !ok {
		k.t.Errorf("packet %d: with verdict word %#08x the kernel would skip the hooks that remain", id, word)
	}
	if m.Type == typeVerdictBatch {
		return k.reinject(change(v, m), 0, k.upTo(id))
	}
	i := slices.Index(k.waiting, id)
	return k.reinject(change(v, m), max(i, 0), i+1)
}

// upTo returns how many packets a verdict up to the ID is for. Like
// nfqnl_recv_verdict_batch it stops at the first that comes after it.
func (k *Kernel) upTo(id uint32) int {
	n := slices.IndexFunc(k.waiting, func(waiting uint32) bool { return int32(waiting-id) > 0 })
	if n < 0 {
		return len(k.waiting)
	}
	return n
}

// reinject notes v as the verdict of a row of the packets that wait.
func (k *Kernel) reinject(v nfqueue.Verdict, first, end int) error {
	if first == end {
		return syscall.ENOENT
	}
	for _, id := range k.waiting[first:end] {
		k.verdicts[id] = v
		k.decided = append(k.decided, id)
	}
	k.waiting = slices.Delete(k.waiting, first, end)
	close(k.changed)
	k.changed = make(chan struct{})
	return nil
}

// readHeader returns the verdict word and the ID, and whether there are any. It
// checks the lengths of all attributes, as the kernel's policy does.
func readHeader(m nfnl.Message) (word, id uint32, found bool, err error) {
	d := attr.NewDecoder(m.Attrs)
	for d.Next() {
		switch d.Type() {
		case attrVerdictHeader:
			v := d.Fixed(8)
			word, id, found = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]), true
		case attrMark, attrPriority:
			d.Uint32()
		}
	}
	if d.Err() != nil {
		return 0, 0, false, syscall.ERANGE
	}
	return word, id, found, nil
}

// action returns what the word says to do. It returns false if the word has
// bits that the kernel does not mask out before it compares.
func action(word uint32) (nfqueue.Verdict, bool) {
	switch {
	case word&wordMask == wordDrop:
		return nfqueue.Drop(), true // with an errno, perhaps, which nobody gets
	case word == wordAccept:
		return nfqueue.Accept(), true
	case word == wordRepeat:
		return nfqueue.Repeat(), true
	case word == wordStop:
		return nfqueue.Stop(), true
	case word&0xffff == wordQueue:
		return nfqueue.Requeue(uint16(word >> 16)), true
	case word&0xffff == wordQueue|wordBypass:
		return nfqueue.RequeueOrAccept(uint16(word >> 16)), true
	}
	return nfqueue.Drop(), false
}

// change returns v with the changes that m asks for.
func change(v nfqueue.Verdict, m nfnl.Message) nfqueue.Verdict {
	tracked := false
	var expectation []byte
	d := attr.NewDecoder(m.Attrs)
	for d.Next() {
		switch d.Type() {
		case attrMark:
			v = v.WithMark(d.Uint32())
		case attrPriority:
			v = v.WithPriority(d.Uint32())
		case attrVLAN:
			v = v.WithVLAN(d.VLAN())
		case attrLinkHeader:
			v = v.WithLinkHeader(slices.Clone(d.Bytes()))
		case attrConntrack:
			v, tracked = changeConntrack(v, d.Nested()), true
		case attrExpectation:
			expectation = d.Bytes()
		case attrPayload:
			v = v.WithRawPayload(slices.Clone(d.Bytes()))
		}
	}
	// Without attrConntrack the kernel does not look at it (nfqnl_recv_verdict),
	// and it ignores what it cannot use.
	var e attr.Expectation
	if tracked && e.Decode(expectation) == nil && e.Check() == nil {
		v = v.WithExpectation(e)
	}
	return v
}

// changeConntrack returns v with the changes to the connection that are in d. A
// mask that is not there is one of all bits.
func changeConntrack(v nfqueue.Verdict, d attr.Decoder) nfqueue.Verdict {
	var mark uint32
	var labels attr.ConntrackLabels
	markMask, labelsMask := ^uint32(0), attr.AllLabels()
	var hasMark, hasLabels bool
	for d.Next() {
		switch d.Type() {
		case ctaTimeout:
			v = v.WithConntrackTimeout(time.Duration(d.Uint32()) * time.Second)
		case ctaStatus:
			v = v.WithConntrackStatus(attr.ConntrackStatus(d.Uint32()))
		case ctaMark:
			mark, hasMark = d.Uint32(), true
		case ctaMarkMask:
			markMask = d.Uint32()
		case ctaLabels:
			hasLabels = true
			copy(labels[:], d.Bytes())
		case ctaLabelsMask:
			copy(labelsMask[:], d.Bytes())
		}
	}
	if hasMark {
		v = v.WithConntrackMark(mark, markMask)
	}
	if hasLabels {
		v = v.WithConntrackLabels(labels, labelsMask)
	}
	return v
}
