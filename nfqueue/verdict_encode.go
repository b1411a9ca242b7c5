package nfqueue

import (
	"encoding/binary"
	"fmt"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// word returns the kernel's 32-bit verdict.
func (v *Verdict) word() uint32 {
	switch v.action {
	case ActionAccept:
		return wordAccept
	case ActionStop:
		return wordStop
	case ActionRepeat:
		return wordRepeat
	case ActionRequeue:
		w := uint32(v.queue)<<16 | wordQueue
		if v.bypass {
			w |= wordBypass
		}
		return w
	}
	return wordDrop
}

// VerdictOf converts a verdict from the number that linux/netfilter.h and other
// libraries use: NF_DROP, NF_ACCEPT, NF_REPEAT, NF_STOP, or NF_QUEUE with the queue
// number in the upper 16 bits, optionally or'ed with NF_VERDICT_FLAG_QUEUE_BYPASS. For
// any other number it returns Drop and an error, because the kernel refuses NF_STOLEN
// for a queued packet and, if unknown bits are set, lets the packet skip the remaining
// hooks.
func VerdictOf(word uint32) (Verdict, error) {
	switch word {
	case wordDrop:
		return Drop(), nil
	case wordAccept:
		return Accept(), nil
	case wordRepeat:
		return Repeat(), nil
	case wordStop:
		return Stop(), nil
	}
	switch n := uint16(word >> 16); word & 0xffff {
	case wordQueue:
		return Requeue(n), nil
	case wordQueue | wordBypass:
		return RequeueOrAccept(n), nil
	}
	return Drop(), fmt.Errorf("nfqueue: %#x is not the number of a verdict that a queued packet can get", word)
}

// Append appends the encoded message that gives p the verdict v, and returns the
// extended buffer. It appends nothing for Hold. If v cannot be applied to p, it returns
// b unchanged and an error. For a packet that was not received from a Queue, the
// restrictions of Linux 7.2 are not checked.
func (v Verdict) Append(b []byte, p *Packet) ([]byte, error) {
	t := p.Ticket()
	return v.append(b, &t, 0)
}

// append is Append; the kernel echoes portID in a refusal. Like all functions that
// are called for every packet it takes pointers: Verdict and Ticket are not small.
func (v *Verdict) append(b []byte, t *Ticket, portID uint32) ([]byte, error) {
	if v.action == ActionHold {
		return b, nil
	}
	if err := t.refuse(v); err != nil {
		return b, err
	}
	start := len(b)
	b = v.begin(b, typeVerdict, t, portID)
	if v.has(changePayload | changeRaw) {
		var err error
		if b, err = t.appendPayload(b, v); err != nil {
			return b[:start], err
		}
	}
	return engine.End(b, start), nil
}

// begin appends all but a payload. The ID is the sequence number too, so that
// the kernel's refusal names the packet.
//
//	 0             4             8
//	+-------------+-------------+
//	| verdict     | ID          |    struct nfqnl_msg_verdict_hdr
//	+-------------+-------------+
func (v *Verdict) begin(b []byte, typ nfnl.Type, t *Ticket, portID uint32) []byte {
	flags := engine.FlagRequest
	if typ == typeVerdict && portID == ackedPort {
		flags |= engine.FlagAck
	}
	b = engine.Begin(b, &engine.Message{Type: typ, Flags: flags, Seq: t.id, PortID: portID, Resource: t.queue})
	var header [8]byte
	binary.BigEndian.PutUint32(header[:], v.word())
	binary.BigEndian.PutUint32(header[4:], t.id)
	b = attr.AppendBytes(b, attrVerdictHeader, header[:])
	if v.has(changeMark) {
		b = attr.AppendUint32(b, attrMark, v.mark)
	}
	if v.has(changePriority) {
		b = attr.AppendUint32(b, attrPriority, v.priority)
	}
	if v.has(changeConntrack) {
		b = v.appendConntrack(b)
	}
	if v.has(changeExpectation) {
		b = v.appendExpectation(b)
	}
	if v.has(changeVLAN) {
		b = attr.AppendVLAN(b, attrVLAN, v.vlan)
	}
	if v.has(changeLinkHeader) {
		b = attr.AppendBytes(b, attrLinkHeader, v.linkHeader)
	}
	return b
}
