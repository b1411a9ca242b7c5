package nfqueue

import (
	"bytes"
	"fmt"
	"time"

	"github.com/nfpacket/nfpacket/attr"
)

// An Action is what a Verdict does with a packet.
type Action uint8

// The actions. docs/verdicts.md in the module's root describes the further path of a
// packet after each.
const (
	ActionDrop    Action = iota // discard the packet
	ActionAccept                // continue with the next base chain
	ActionStop                  // accept, and skip all other base chains of the hook
	ActionRepeat                // start again at the first rule of the base chain
	ActionRequeue               // put into another queue
	ActionHold                  // no verdict yet
)

var actionNames = [...]string{"drop", "accept", "stop", "repeat", "requeue", "hold"}

// String returns the action's name in lower case, for example "accept".
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// A Verdict is what to do with a packet. The zero Verdict is Drop.
type Verdict struct {
	plain
	hold       time.Duration // see HoldFor; 0 is for ever
	payload    []byte
	linkHeader []byte
	vlan       attr.VLAN
	conntrack  conntrackChange

	// expectation is a pointer to a private copy: few verdicts have one, and it is
	// larger than the rest.
	expectation *attr.Expectation
}

// plain is the part of a Verdict that may fit any packet.
type plain struct {
	action   Action
	then     Action // after HoldFor
	bypass   bool
	queue    uint16
	change   change
	mark     uint32
	priority uint32
}

// A change is a set of things to change on the packet.
type change uint16

const (
	changeMark change = 1 << iota
	changePriority
	changePayload
	changeRaw
	changeConntrackMark
	changeConntrackLabels
	changeConntrackTimeout
	changeConntrackStatus
	changeExpectation
	changeVLAN
	changeLinkHeader

	changeConntrack = changeConntrackMark | changeConntrackLabels | changeConntrackTimeout | changeConntrackStatus | changeExpectation

	// changeOne are changes for one packet, which others may not fit: they need
	// its ticket.
	changeOne = changePayload | changeRaw | changeVLAN | changeLinkHeader | changeExpectation
)

// Accept lets the packet continue with the next base chain at the same hook. The rules
// after the queue rule are skipped.
func Accept() Verdict { return Verdict{plain: plain{action: ActionAccept}} }

// Drop discards the packet. The sender is not notified.
func Drop() Verdict { return Verdict{} }

// Stop accepts the packet and skips all other base chains of the same hook.
func Stop() Verdict { return Verdict{plain: plain{action: ActionStop}} }

// Repeat sends the packet to the start of its base chain. If the queue rule matches it
// again, it is queued with a new ID. To avoid a loop, set a mark (WithMark) that the
// queue rule excludes.
func Repeat() Verdict { return Verdict{plain: plain{action: ActionRepeat}} }

// Requeue puts the packet into queue n. It is dropped if no program has that queue
// open.
func Requeue(n uint16) Verdict { return Verdict{plain: plain{action: ActionRequeue, queue: n}} }

// RequeueOrAccept puts the packet into queue n, and accepts it if no program has that
// queue open. If it is so accepted at the output hook, a new mark does not reroute it;
// see WithMark.
func RequeueOrAccept(n uint16) Verdict {
	return Verdict{plain: plain{action: ActionRequeue, queue: n, bypass: true}}
}

// Hold leaves the packet in the kernel. Decide on it later through its Ticket or with
// Queue.SetVerdict. A held packet counts against Config.MaxLen and Config.MaxHeld, and
// waits without limit unless HoldFor is used.
func Hold() Verdict { return Verdict{plain: plain{action: ActionHold, then: ActionHold}} }

// HoldFor holds the packet like Hold. If the packet has no other verdict after d, it
// gets the verdict fallback; if d is 0 or negative, it gets that at once. fallback can
// have a mark and a priority, but no other change, and cannot be Hold. If fallback is
// not permitted, the packet gets Config.Fallback, and OnError gets ErrHoldFallback.
func HoldFor(d time.Duration, fallback Verdict) Verdict {
	v := Verdict{plain: fallback.plain, hold: max(d, 0)}
	v.action, v.then = ActionHold, fallback.action
	if !fallback.fitsAny() {
		v.hold = unusable
	}
	return v
}

// unusable stands in Verdict.hold for a fallback that fits not every packet.
const unusable time.Duration = -1

// unusable reports whether v is a HoldFor whose fallback fits not every packet.
func (v *Verdict) unusable() bool {
	return v.action == ActionHold && (v.hold == unusable || v.then != ActionHold && v.has(changeOne|changeConntrack))
}

// WithMark returns v with a new mark for the packet, which later chains, other
// queues and routing see. It replaces the whole mark; to change the bits in mask
// alone:
//
//	v.WithMark(p.Mark&^mask | bits&mask)
//
// At the output hook a changed mark makes the kernel route the packet again, with
// Accept and Repeat only.
func (v Verdict) WithMark(mark uint32) Verdict {
	v.mark, v.change = mark, v.change|changeMark
	return v
}

// WithPriority returns v with a new priority (skb->priority) for the packet, which
// queueing disciplines use. Kernels before 5.18 ignore it.
func (v Verdict) WithPriority(priority uint32) Verdict {
	v.priority, v.change = priority, v.change|changePriority
	return v
}

// WithPayload returns v with a new packet b, from the network header on. b may be
// shorter or longer than the original, up to 65531 bytes. The package sends a copy of b
// in which it sets lengths and checksums as Finish does. It does not modify b, and
// copies it when the handler returns, or in Send or SetVerdict. So b may be
// Packet.Payload, edited in place. In a handler, b may also be a buffer that is reused
// for the next packet. With Receive, b must not change before the verdicts are sent.
//
// A payload with which the kernel would drop or corrupt the packet is refused: the
// packet gets Config.Fallback, and OnError is called with an error that wraps
//
//   - ErrPayload if b is empty or longer than 65531 bytes;
//   - ErrTruncated if the packet was truncated, ErrCorrupt if it was received with a
//     wrong checksum, ErrNotIP or ErrBadHeader if b is not a valid packet;
//   - ErrGSO or ErrTunnel if the packet can only be rewritten with Config.Segment,
//     ErrFragment for the data of a fragment;
//   - ErrRewriteForbidden if b has the other IP version. From Linux 7.2 on also if b
//     changes header lengths, options, extension headers or fragment fields, if the
//     packet's family is neither IPv4 nor IPv6, or if the network namespace belongs to
//     a user namespace other than the initial one.
//
// If the length of TCP data changes, the program has to adjust the sequence numbers of
// later packets, unless the kernel does (examples/tcprewrite). If n bytes follow the
// UDP datagram in the original IP packet, WithPayload leaves the last n bytes of b out
// of the datagram too. docs/rewriting.md in the module's root lists the payloads that
// the kernel drops and that cannot be detected, such as a packet longer than the path
// MTU.
func (v Verdict) WithPayload(b []byte) Verdict {
	v.payload, v.change = b, v.change&^changeRaw|changePayload
	return v
}

// WithRawPayload is like WithPayload, but sends b unchanged and does not verify or set
// checksums. The kernel does not compute them later, even if the original packet was
// ChecksumPending. b must be at least as long as an IP header. Of the errors
// of WithPayload, it has ErrPayload, ErrTruncated, ErrGSO and ErrRewriteForbidden.
func (v Verdict) WithRawPayload(b []byte) Verdict {
	v.payload, v.change = b, v.change&^changePayload|changeRaw
	return v
}

// has reports whether v changes any of what is in c.
func (v *Verdict) has(c change) bool { return v.change&c != 0 }

// Action returns what v does with the packet.
func (v Verdict) Action() Action { return v.action }

// Queue returns the argument of Requeue or RequeueOrAccept. orAccept reports whether
// the packet is accepted if no program has that queue open.
func (v Verdict) Queue() (n uint16, orAccept bool) { return v.queue, v.bypass }

// Mark returns the argument of WithMark; ok reports whether it was called.
func (v Verdict) Mark() (mark uint32, ok bool) { return v.mark, v.has(changeMark) }

// Priority returns the argument of WithPriority; ok reports whether it was called.
func (v Verdict) Priority() (priority uint32, ok bool) {
	return v.priority, v.has(changePriority)
}

// Payload returns the argument of WithPayload or WithRawPayload; ok reports whether one
// of them was called.
func (v Verdict) Payload() (b []byte, ok bool) {
	return v.payload, v.has(changePayload | changeRaw)
}

// VLAN returns the argument of WithVLAN; ok reports whether it was called.
func (v Verdict) VLAN() (tag attr.VLAN, ok bool) { return v.vlan, v.has(changeVLAN) }

// LinkHeader returns the argument of WithLinkHeader; ok reports whether it was called.
func (v Verdict) LinkHeader() (b []byte, ok bool) { return v.linkHeader, v.has(changeLinkHeader) }

// fitsAny reports whether v can be given to any packet, whatever its properties.
func (v *Verdict) fitsAny() bool { return v.action != ActionHold && !v.has(changeOne|changeConntrack) }

// Equal reports whether v and w have the same action and the same changes. A payload of
// WithPayload is not equal to one of WithRawPayload.
func (v Verdict) Equal(w Verdict) bool {
	return v.plain == w.plain && v.hold == w.hold && v.vlan == w.vlan && v.conntrack == w.conntrack && v.expectsSame(&w) &&
		bytes.Equal(v.payload, w.payload) && bytes.Equal(v.linkHeader, w.linkHeader)
}

// WithVLAN returns v with a VLAN tag for a packet of the bridge family. The kernel
// cannot remove a tag.
func (v Verdict) WithVLAN(tag attr.VLAN) Verdict {
	v.vlan, v.change = tag, v.change|changeVLAN
	return v
}

// WithLinkHeader returns v with a new link-layer header for a packet of the bridge
// family. It must be as long as Packet.LinkHeader. b is copied when the handler
// returns, or in Send or SetVerdict.
func (v Verdict) WithLinkHeader(b []byte) Verdict {
	v.linkHeader, v.change = b, v.change|changeLinkHeader
	return v
}
