package engine

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// A kernel is the far end of a Conn under test. It does less than
// nfnltest.Kernel, which tests of this package cannot import.
type kernel struct {
	*testing.T
	bubble bool // of testing/synctest
	conn   *Conn
	peer   *Peer
	counts *counting
	lose   atomic.Int32 // how many answers to lose
	asked  atomic.Int32 // how many requests there were

	// answer, if set, decides on requests; 0 acknowledges.
	answer func(Message) syscall.Errno
}

// counting counts the times a transport is told to receive.
type counting struct {
	transport
	waits, polls atomic.Int32
	waiting      atomic.Int32 // how many are in it to wait
}

func (c *counting) receive(b *Batch, wait bool) error {
	if wait {
		c.waits.Add(1)
		c.waiting.Add(1)
		defer c.waiting.Add(-1)
	} else {
		c.polls.Add(1)
	}
	return c.transport.receive(b, wait)
}

// overTransports tests a behaviour over what can stand in for the kernel: a socket,
// which off Linux is memory too, and memory.
// The socket is waited for in the poller, and by blocking where that is possible.
func overTransports(t *testing.T, behaviour func(k *kernel)) {
	t.Run("pipe", func(t *testing.T) { overPipe(t, behaviour) })
	t.Run("blocking pipe", func(t *testing.T) { overBlocking(t, behaviour) })
	t.Run("memory", func(t *testing.T) { overMemory(&kernel{T: t}, behaviour) })
}

// settling is overTransports for a behaviour that is seen once goroutines wait, and
// that never spins: the memory is in a bubble of testing/synctest.
func settling(t *testing.T, behaviour func(k *kernel)) {
	t.Run("pipe", func(t *testing.T) { overPipe(t, behaviour) })
	t.Run("blocking pipe", func(t *testing.T) { overBlocking(t, behaviour) })
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { overMemory(&kernel{T: t, bubble: true}, behaviour) })
	})
}

func overMemory(k *kernel, behaviour func(k *kernel)) {
	k.start(newMemory(k.handle))
	behaviour(k)
}

func overPipe(t *testing.T, behaviour func(k *kernel)) {
	k := &kernel{T: t}
	inner, peer, err := newPipe(k.handle)
	testkit.Must(t, err)
	k.start(inner, peer)
	behaviour(k)
}

// start connects k to a new Conn.
func (k *kernel) start(inner transport, peer *Peer) {
	k.counts = &counting{transport: inner}
	k.conn, k.peer = newConn(k.counts), peer
	k.Cleanup(func() {
		k.conn.Close()
		k.peer.Close()
	})
}

func (k *kernel) handle(datagram []byte) error {
	for len(datagram) > 0 {
		m, rest, err := Next(datagram)
		if err != nil {
			return err
		}
		datagram = rest
		if m.Type == typeNoop { // as netlink_rcv_skb, which acknowledges it
			_ = k.peer.Deliver(reply(m, 0))
			continue
		}
		k.asked.Add(1)
		var errno syscall.Errno
		if k.answer != nil {
			errno = k.answer(m)
		}
		if k.lose.Load() > 0 {
			k.lose.Add(-1)
			continue
		}
		_ = k.peer.Deliver(reply(m, errno)) // it may have hung up
	}
	return nil
}

// reply is the kernel's answer to a request.
func reply(request Message, errno syscall.Errno) []byte {
	echo := request.Append(nil)[:headerLen]
	return Message{Type: typeError, Flags: flagCapped, Seq: request.Seq, Attrs: wire(-int32(errno), echo)}.Append(nil)
}

// packet is a datagram with one packet in it.
func packet(id uint32) []byte {
	return wire(nlmsg(28, 0x0300, 0, 0, 0), nfgen(2, 5), uint16(8), uint16(1), be32(id))
}

// deliver sends a datagram to the Conn.
func (k *kernel) deliver(datagram []byte) {
	k.Helper()
	if err := k.peer.Deliver(datagram); err != nil {
		k.Errorf("deliver: %v", err)
	}
}

// packets sends the packets from first to last, a datagram each.
func (k *kernel) packets(first, last uint32) {
	for id := first; id <= last; id++ {
		k.deliver(packet(id))
	}
}

// seen is what a take saw.
type seen struct {
	mu      sync.Mutex
	ids     []uint32 // of packets
	replies []Reply
	errs    []error
	bad     []Message // that came with errs
}

func (s *seen) take(m Message, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, isReply := m.Reply()
	switch {
	case err != nil:
		m.Attrs = slices.Clone(m.Attrs)
		s.errs, s.bad = append(s.errs, err), append(s.bad, m)
	case isReply:
		s.replies = append(s.replies, r)
	case m.Type == queuePacket && len(m.Attrs) == 8:
		s.ids = append(s.ids, binary.BigEndian.Uint32(m.Attrs[4:]))
	default:
		s.errs, s.bad = append(s.errs, errors.New("of an unknown type")), append(s.bad, m)
	}
}

func (s *seen) batch(n int) *Batch { return NewBatch(n, 256, s.take) }

// want fails the test unless the packets from first to last, and nothing else,
// were seen since it was last asked.
func (s *seen) want(k *kernel, first, last uint32) {
	k.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uint32
	for id := first; id <= last; id++ {
		ids = append(ids, id)
	}
	if !slices.Equal(s.ids, ids) || len(s.errs) > 0 || len(s.replies) > 0 {
		k.Errorf("saw packets %v, replies %v, errors %v; want packets %v", s.ids, s.replies, s.errs, ids)
	}
	s.ids, s.replies, s.errs, s.bad = nil, nil, nil, nil
}

// settle waits until every goroutine of the test waits. Over a socket that cannot be
// seen, and a moment is given them; what the test is about must hold either way.
func (k *kernel) settle() {
	k.Helper()
	if k.bubble {
		synctest.Wait()
		return
	}
	time.Sleep(10 * time.Millisecond)
}

// parked is settle, once a goroutine waits for the kernel.
func (k *kernel) parked() {
	k.Helper()
	testkit.Await(k, "a goroutine waits for the kernel", func() bool { return k.counts.waiting.Load() > 0 })
	k.settle()
}
