// Package nfqueuetest opens a Queue whose kernel is a fake, so that handlers
// can be tested without privileges, and without Linux.
//
//	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
//	go q.Run(t.Context(), handler)
//	id := k.Enqueue(nfqueue.Packet{Payload: synPacket})
//	if got := k.Verdict(id); !got.Equal(nfqueue.Drop()) {
//		t.Errorf("the SYN got %v", got)
//	}
//
// A handler whose answer depends on nothing but the packet needs no kernel: it
// is a function, to be called with a Packet. What is here is for the rest: held
// packets, rewrites, order, loss, refusals, the end of a program.
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

// A Kernel is a fake kernel with room for one queue. It answers configuration
// and verdicts as the real one does, inside the Send that carries them. A packet
// goes nowhere after its verdict: one that is repeated does not come back. It
// takes any rewrite, as Linux did before 7.2 (see nfqueue.ErrRewriteForbidden). The
// methods may be called from any goroutine, but for Verdict, which may end the
// test.
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

// Open returns an open Queue and its kernel. Both end with the test.
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

// New returns a connection for nfqueue.OpenConn and its kernel, which has no
// queue bound. Both end with the test.
func New(t testing.TB) (*nfnl.Conn, *Kernel) {
	t.Helper()
	k := &Kernel{t: t, verdicts: map[uint32]nfqueue.Verdict{}, changed: make(chan struct{})}
	conn, wire := nfnltest.New(t, k.answer)
	k.wire = wire
	return conn, k
}

// Enqueue queues p and returns the ID it was given: 1, 2 and so on. p's own ID
// and Queue are not used; a Proto and Family of 0 are set to what Payload is. As
// much of Payload is delivered as the queue's copy range allows, and the owner
// and security context if the queue is configured for them. For a packet that
// was longer than its Payload, set Len.
//
// Enqueue returns 0 for a packet that is not queued: there is no queue, or as
// many packets wait as its length allows.
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

// Verdict waits for the verdict on a packet and returns it. A new payload is
// one of WithRawPayload, with the bytes that the library sent; conntrack marks
// and labels have no bits outside of their masks. If there is none
// after some seconds the test ends.
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

// Lose simulates n packets that arrive while the receive buffer is full: each uses up
// an ID, and is dropped, or accepted if the queue is fail-open.
func (k *Kernel) Lose(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastID += uint32(n)
}

// SetNextID makes id the ID of the next packet, which after 2^32 packets is 0.
func (k *Kernel) SetNextID(id uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastID = id - 1
}

// Flush drops all packets that wait, as the kernel does when a device goes down
// or a base chain is deleted. Verdicts on them are refused from then on
// (nfqueue.ErrPacketGone).
func (k *Kernel) Flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = nil
}

// Refuse makes the kernel ask f before it does what it is asked to: nil lets it
// go on, a syscall.Errno is its answer instead. A packet whose verdict is
// refused still waits; a verdict's Seq is the packet's ID. Nil takes f back.
func (k *Kernel) Refuse(f func(nfnl.Message) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = f
}

// LoseAnswers makes the next n answers go missing, as they do when the receive
// buffer is full. What was asked is done all the same.
func (k *Kernel) LoseAnswers(n int) { k.wire.LoseAnswers(n) }

// FailSend makes the kernel ask f before it looks at what is sent to it: with an
// error the send fails, as with syscall.ENOBUFS when the kernel has no memory, and
// nothing of it has arrived. Nil takes f back.
func (k *Kernel) FailSend(f func(datagram []byte) error) { k.wire.FailSend(f) }

// Deliver puts any bytes on the queue's socket, as one datagram.
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
