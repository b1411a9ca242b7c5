// Package nfnltest connects an nfnl.Conn to a fake kernel, so that code that uses the
// Conn can be tested on any system and without privileges.
//
//	conn, kernel := nfnltest.New(t, func(m nfnl.Message) error {
//		return nil // acknowledge everything
//	})
//	kernel.Deliver(packet)
//	err := conn.Receive(batch)
//
// Packages nfqueuetest and nflogtest are built on it, and simulate queues and log
// groups.
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

// A Kernel is a fake kernel. Its answers to requests have the same bytes as those of
// Linux. All its methods are safe for concurrent use.
type Kernel struct {
	t      testing.TB
	peer   *engine.Peer
	answer func(nfnl.Message) error
	mute   atomic.Int32
	fail   atomic.Pointer[func(datagram []byte) error]
}

// New returns a Conn and the Kernel to which it is connected. Both are closed when
// the test ends. They are connected by a socket on Linux, and by memory on other
// systems and in a bubble of testing/synctest, in which time does not advance while a
// goroutine waits for a socket.
//
// Send and Request call answer for each message, in order, before they return;
// concurrent Sends and Requests call it concurrently. If it returns nil, the kernel
// acknowledges the message if its flags have NLM_F_ACK, as those of a Request do; if it
// returns a syscall.Errno, the kernel refuses the message with that. Any other error
// fails the test. answer may call Deliver. The message is valid until answer returns.
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

// Deliver sends a datagram of one or more messages to the Conn. It does not wait for
// a receiver, and does not retain datagram.
func (k *Kernel) Deliver(datagram []byte) {
	if err := k.peer.Deliver(datagram); err != nil {
		k.t.Logf("fake kernel: deliver: %v", err)
	}
}

// LoseAnswers makes the kernel lose its next n answers, as when the receive buffer is
// full. The requests are carried out.
func (k *Kernel) LoseAnswers(n int) { k.mute.Store(int32(n)) }

// FailSend makes the kernel call f with each datagram sent to it. If f returns an
// error, the Send fails with that error and the kernel handles none of the messages.
// Concurrent Sends call f concurrently. A nil f ends this.
func (k *Kernel) FailSend(f func(datagram []byte) error) {
	if f == nil {
		k.fail.Store(nil)
		return
	}
	k.fail.Store(&f)
}

// HangUp closes the kernel's end of the connection. Once the Conn has received what
// was delivered, its Receive returns an error.
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

// AppendReply appends the kernel's answer to a request: an acknowledgement if errno is
// 0, and otherwise a refusal. It echoes the request's header but not its attributes.
func AppendReply(b []byte, request nfnl.Message, errno syscall.Errno) []byte {
	request.Attrs = nil
	echo := request.Append(nil)[:headerLen]
	body := binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
	return nfnl.Message{
		Type: typeError, Flags: flagCapped, Seq: request.Seq,
		Attrs: append(body, echo...),
	}.Append(b)
}
