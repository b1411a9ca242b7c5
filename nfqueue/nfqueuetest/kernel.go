// Package nfqueuetest opens a Queue on a fake kernel, so that handlers can be tested
// on any system and without privileges.
//
//	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
//	go q.Run(t.Context(), handler)
//	id := k.Enqueue(nfqueue.Packet{Payload: synPacket})
//	if got := k.Verdict(id); !got.Equal(nfqueue.Drop()) {
//		t.Errorf("the SYN got %v", got)
//	}
//
// A handler whose verdict depends only on the packet can be tested without this
// package: call it with a Packet. The fake kernel is for tests of held packets,
// rewrites, the order of verdicts, lost packets, refused verdicts, and stopping.
package nfqueuetest

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A Kernel is a fake kernel with at most one queue. It handles configuration and
// verdicts as Linux does, before the call that sends them returns. It has no chains:
// a packet is gone after its verdict, and is not queued again after Repeat or
// Requeue. It accepts any rewrite, as Linux did before 7.2 (see
// nfqueue.ErrRewriteForbidden). All methods except Verdict are safe for concurrent
// use; Verdict must be called from the goroutine of the test, because it may call
// FailNow.
type Kernel struct {
	t    testing.TB
	wire *nfnltest.Kernel

	mu       sync.Mutex // guards what follows
	bound    bool
	number   uint16
	settings settings
	lastID   uint32
	waiting  []uint32 // oldest first
	verdicts map[uint32]nfqueue.Verdict
	decided  []uint32      // in the order of their verdicts
	changed  chan struct{} // closed and replaced when a packet gets its verdict
	refuse   func(nfnl.Message) error
}

// patience is how long Verdict waits.
const patience = 10 * time.Second

// Open returns an open Queue and its kernel. Both are closed when the test ends. If
// the queue cannot be opened, the test fails.
func Open(t testing.TB, cfg nfqueue.Config) (*nfqueue.Queue, *Kernel) {
	t.Helper()
	conn, k := New(t)
	q, err := nfqueue.OpenConn(conn, cfg)
	if err != nil {
		t.Fatalf("open a queue of the fake kernel: %v", err)
	}
	t.Cleanup(func() { q.Close() })
	return q, k
}

// New returns a connection for nfqueue.OpenConn and its kernel, in which no queue is
// bound yet. Both are closed when the test ends.
func New(t testing.TB) (*nfnl.Conn, *Kernel) {
	t.Helper()
	k := &Kernel{t: t, verdicts: map[uint32]nfqueue.Verdict{}, changed: make(chan struct{})}
	conn, wire := nfnltest.New(t, k.answer)
	k.wire = wire
	return conn, k
}

// Enqueue queues a copy of p and returns its ID: 1 for the first packet, 2 for the
// next, and so on. It ignores p.ID and p.Queue, and the connection. If Proto or
// Family is 0, it is derived from Payload. The queue delivers at most
// Config.CopyRange bytes of Payload, and the owner and the security context only if
// its Config asks for them. Set Len for a packet that was longer than Payload.
//
// Enqueue returns 0 if the packet is not queued, because no queue is bound or
// Config.MaxLen packets wait already.
func (k *Kernel) Enqueue(p nfqueue.Packet) uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.bound || k.settings.mode == copyNone || uint64(len(k.waiting)) >= uint64(k.settings.maxLen) {
		return 0
	}
	k.lastID++
	p.ID, p.Queue = k.lastID, k.number
	k.waiting = append(k.waiting, p.ID)
	k.wire.Deliver(k.settings.appendPacket(nil, p))
	return p.ID
}

// Verdict waits for the verdict on the packet with this ID and returns it. A new
// payload is returned as one of WithRawPayload, with the bytes that were sent to the
// kernel, checksums included. In connection marks and labels, bits outside the mask are
// 0. If there is no verdict after some seconds, the test fails.
func (k *Kernel) Verdict(id uint32) nfqueue.Verdict {
	k.t.Helper()
	late := time.After(patience)
	for {
		v, ok, changed := k.verdict(id)
		if ok {
			return v
		}
		select {
		case <-changed:
		case <-late:
			k.t.Fatalf("packet %d has no verdict after %v; waiting are %v", id, patience, k.Waiting())
		}
	}
}

// verdict returns the verdict on a packet if there is one, and what is closed
// when that may have changed.
func (k *Kernel) verdict(id uint32) (nfqueue.Verdict, bool, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.verdicts[id]
	return v, ok, k.changed
}

// Waiting returns the IDs of the packets without a verdict, in the order in
// which they were queued.
func (k *Kernel) Waiting() []uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.waiting)
}

// Decided returns the IDs of the packets that have a verdict, in the order in which
// they got it.
func (k *Kernel) Decided() []uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.decided)
}

// Lose simulates n packets that arrive while the receive buffer is full. Each gets an
// ID, and is dropped or, with Config.FailOpen, accepted.
func (k *Kernel) Lose(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastID += uint32(n)
}

// SetNextID sets the ID of the next packet, for tests of IDs that wrap around to 0.
func (k *Kernel) SetNextID(id uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastID = id - 1
}

// Flush drops all packets that wait, as Linux does when a device goes down or a base
// chain is deleted. Later verdicts on them are refused (nfqueue.ErrPacketGone).
func (k *Kernel) Flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = nil
}

// Refuse makes the kernel call f with each message before it handles the message. If f
// returns a syscall.Errno, the kernel refuses the message with that. The Seq of a
// verdict is the packet's ID. A Queue answers most refusals with Config.Fallback, which
// is passed to f too. A nil f ends this.
func (k *Kernel) Refuse(f func(nfnl.Message) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = f
}

// LoseAnswers makes the kernel lose its next n answers, as when the receive buffer is
// full. The requests are carried out.
func (k *Kernel) LoseAnswers(n int) { k.wire.LoseAnswers(n) }

// FailSend makes the kernel call f with each datagram sent to it. If f returns an
// error, the send fails with that error, for example with syscall.ENOBUFS as when the
// kernel has no memory, and the kernel handles none of the messages. A nil f ends
// this.
func (k *Kernel) FailSend(f func(datagram []byte) error) { k.wire.FailSend(f) }

// Deliver sends a datagram to the queue's socket as it is, for example one with
// malformed messages.
func (k *Kernel) Deliver(datagram []byte) { k.wire.Deliver(datagram) }

// answer answers a message, as nfnetlink_rcv_msg does.
func (k *Kernel) answer(m nfnl.Message) error {
	k.mu.Lock()
	refuse := k.refuse
	k.mu.Unlock()
	if refuse != nil { // without the lock, for it may use k
		if err := refuse(m); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch m.Type {
	case typeConfig:
		return k.configure(m)
	case typeVerdict, typeVerdictBatch:
		return k.decide(m)
	case typePacket:
		return errNotSupp
	}
	return syscall.EINVAL
}
