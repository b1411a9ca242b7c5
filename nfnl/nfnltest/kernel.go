// Package nfnltest puts a fake kernel at the other end of an nfnl.Conn, so that
// code above it can be tested without privileges, and without Linux.
//
//	conn, kernel := nfnltest.New(t, func(m nfnl.Message) error {
//		return nil // acknowledge everything
//	})
//	kernel.Deliver(packet)
//	err := conn.Receive(batch)
//
// Packages nfqueuetest and nflogtest, built on it, know what queues and log
// groups do.
package nfnltest

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Kernel answers requests and delivers datagrams, byte for byte as the real
// one does. Its methods may be called from any goroutine.
type Kernel struct {
	t      testing.TB
	peer   *engine.Peer
	answer func(nfnl.Message) error
	mute   atomic.Int32
	fail   atomic.Pointer[func(datagram []byte) error]
}

// New returns a connection and the kernel it talks to. Both end with the test. On
// Linux there is a socket between them, except in a bubble of testing/synctest: its
// clock would stand still while anybody waits for a socket.
//
// answer decides on each message, in order, inside the Send that sent it, and
// so in several goroutines if several send: nil acknowledges, a syscall.Errno
// refuses. It may call Deliver. The message is valid until it returns.
func New(t testing.TB, answer func(nfnl.Message) error) (*nfnl.Conn, *Kernel) {
	t.Helper()
	k := &Kernel{t: t, answer: answer}
	conn, peer, err := pipe(t)(k.handle)
	if err != nil {
		t.Fatalf("make a pipe to the fake kernel: %v", err)
	}
	k.peer = peer
	t.Cleanup(func() {
		conn.Close()
		peer.Close()
	})
	return (*nfnl.Conn)(conn), k
}

// pipe returns what makes the two ends.
func pipe(t testing.TB) func(handle func([]byte) error) (*engine.Conn, *engine.Peer, error) {
	if inBubble(t) {
		return engine.MemoryPipe
	}
	return engine.Pipe
}

// inBubble reports whether t is the test of a bubble. In one, Deadline panics, as
// synctest.Test says of it, and that is the only way to tell.
func inBubble(t testing.TB) (in bool) {
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return false
	}
	defer func() { in = recover() != nil }()
	d.Deadline()
	return false
}

// Deliver sends a datagram of messages. It never waits for the receiver.
func (k *Kernel) Deliver(datagram []byte) {
	if err := k.peer.Deliver(datagram); err != nil {
		k.t.Logf("fake kernel: deliver: %v", err)
	}
}

// LoseAnswers makes the next n answers go missing, as they do when the
// receive buffer is full. What was asked is done all the same.
func (k *Kernel) LoseAnswers(n int) { k.mute.Store(int32(n)) }

// FailSend makes the kernel ask f before it looks at what is sent to it. With an
// error the Send fails with that, and none of its messages has arrived. Nil takes f
// back. f may be called by several goroutines at once.
func (k *Kernel) FailSend(f func(datagram []byte) error) {
	if f == nil {
		k.fail.Store(nil)
		return
	}
	k.fail.Store(&f)
}

// HangUp closes the kernel's end of the connection.
func (k *Kernel) HangUp() { k.peer.Close() }

// handle walks a datagram as netlink_rcv_skb and nfnetlink_rcv_msg do: every
// message on its own, up to the first with a length that cannot be.
func (k *Kernel) handle(datagram []byte) error {
	if fail := k.fail.Load(); fail != nil {
		if err := (*fail)(datagram); err != nil {
			return err
		}
	}
	for rest := datagram; len(rest) > 0; {
		var m nfnl.Message
		var err error
		if m, rest, err = nfnl.Next(rest); err != nil {
			return nil
		}
		if m.Flags&engine.FlagRequest != 0 && m.Type >= minType {
			err = k.answer(m)
		}
		if err != nil || m.Flags&engine.FlagAck != 0 {
			k.reply(m, err)
		}
	}
	return nil
}

// reply answers m, unless the answer is to be lost.
func (k *Kernel) reply(m nfnl.Message, err error) {
	if k.lose() {
		return
	}
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		k.t.Errorf("fake kernel: answer returned %v, not a syscall.Errno", err)
		return
	}
	datagram := AppendReply(nil, m, errno)
	length := headerLen + len(m.Attrs)
	if m.Type >= minType {
		length += genericLen
	}
	binary.NativeEndian.PutUint32(datagram[headerLen+4:], uint32(length))
	k.Deliver(datagram)
}

// lose reports whether the next answer is to be lost.
func (k *Kernel) lose() bool {
	for {
		n := k.mute.Load()
		if n == 0 || k.mute.CompareAndSwap(n, n-1) {
			return n > 0
		}
	}
}

const (
	headerLen            = 16    // sizeof(struct nlmsghdr)
	genericLen           = 4     // sizeof(struct nfgenmsg)
	minType    nfnl.Type = 0x10  // NLMSG_MIN_TYPE: the kernel skips what is below
	typeError  nfnl.Type = 2     // NLMSG_ERROR
	flagCapped uint16    = 0x100 // NLM_F_CAPPED
)

// AppendReply appends the kernel's answer to a request: an acknowledgement if errno
// is 0, and otherwise a refusal. It echoes the request's header only, with the length
// of a request without attributes.
func AppendReply(b []byte, request nfnl.Message, errno syscall.Errno) []byte {
	request.Attrs = nil
	echo := request.Append(nil)[:headerLen]
	body := binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
	return nfnl.Message{
		Type: typeError, Flags: flagCapped, Seq: request.Seq,
		Attrs: append(body, echo...),
	}.Append(b)
}
