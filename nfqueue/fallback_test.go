package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// fallback is one that no handler here returns.
var fallback = nfqueue.Accept().WithMark(0xfa11)

func TestVerdictThatWeRefuseBecomesTheFallback(t *testing.T) {
	for name, c := range map[string]struct {
		p    nfqueue.Packet
		v    nfqueue.Verdict
		want error
	}{
		"cut":        {nfqueue.Packet{Payload: udpPacket("x"), Len: 1500}, nfqueue.Accept().WithPayload(udpPacket("y")), nfqueue.ErrTruncated},
		"UDP GSO":    {nfqueue.Packet{Payload: udpPacket("x"), GSO: true, Hook: nfnl.Input}, nfqueue.Accept().WithPayload(udpPacket("y")), nfqueue.ErrGSO},
		"corrupt":    {nfqueue.Packet{Payload: damaged(), ChecksumUnverified: true}, nfqueue.Accept().WithPayload(udpPacket("y")), nfqueue.ErrCorrupt},
		"no IP":      {nfqueue.Packet{Payload: []byte("arp"), Proto: 0x0806, Family: nfnl.Bridge}, nfqueue.Accept().WithPayload(udpPacket("y")), nfqueue.ErrNotIP},
		"nothing":    {packet("x"), nfqueue.Accept().WithRawPayload(nil), nfqueue.ErrPayload},
		"no bridge":  {packet("x"), nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}), nfqueue.ErrNotBridge},
		"bad header": {packet("x"), nfqueue.Accept().WithPayload(udpPacket("y")[:19]), nfqueue.ErrBadHeader},
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
			id := k.Enqueue(c.p)
			start(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return c.v })
			wantVerdict(t, k, id, fallback)
			reported.Next(t, c.want)
			if s := q.Stats(); s.Refused != 1 || s.Fallbacks != 1 || s.Packets != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestEditInPlaceOfACorruptPacketIsRefused(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	id := k.Enqueue(nfqueue.Packet{Payload: damaged(), ChecksumUnverified: true})
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		copy(p.Payload, udpPacket("hello"))
		return nfqueue.Accept().WithPayload(p.Payload)
	})
	wantVerdict(t, k, id, fallback)
}

func TestVerdictThatTheKernelRefusesBecomesTheFallbackOnce(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.ERANGE} {
		reported := new(testkit.Errors)
		q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
		refuseVerdicts(k, 1, 1, errno)
		id := k.Enqueue(packet("x"))
		start(t, q, accept)
		wantVerdict(t, k, id, fallback)
		reported.Next(t, errno)
		if s := q.Stats(); s.Refused != 1 || s.Fallbacks != 1 {
			t.Errorf("stats %+v", s)
		}
	}
}

func TestFallbackThatTheKernelRefusesIsNotRepeated(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
	refuseVerdicts(k, 1, 100, syscall.EINVAL)
	id := k.Enqueue(packet("x"))
	start(t, q, accept)
	reported.Next(t, syscall.EINVAL)
	reported.Next(t, syscall.EINVAL)
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
	reported.WantNoMore(t)
	if s := q.Stats(); s.Refused != 2 || s.Fallbacks != 1 || !slices.Equal(k.Waiting(), []uint32{id}) {
		t.Errorf("stats %+v, waiting %v", s, k.Waiting())
	}
}

func TestPacketsThatAreGoneAreToldOnceABatch(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	k.Flush()
	start(t, q, accept)
	if err := nextPackets(t, reported, nfqueue.ErrPacketGone, 0, 3); err.More != 2 || !strings.HasSuffix(err.Error(), " and 2 more: "+nfqueue.ErrPacketGone.Error()) {
		t.Errorf("got %q", err)
	}
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
	reported.WantNoMore(t)
	if s := q.Stats(); s.Gone != 3 || s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestMalformedPacketGetsTheFallback(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
	id := k.Enqueue(packet("x"))
	b := q.NewBatch()
	if err := q.Receive(b); err != nil { // it is there, and undecided
		t.Fatal(err)
	}
	k.SetNextID(2)
	k.Deliver(packetMessage(id, tlv(3, "0000")))
	start(t, q, accept)
	wantVerdict(t, k, id, fallback)
	reported.Next(t, attr.ErrMalformed)
	if s := q.Stats(); s.Malformed != 1 || s.Fallbacks != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestMessagesThatAreNoPacketsAreCounted(t *testing.T) {
	noID := wire(uint32(28), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02000007", tlv(3, "00000009"))
	otherQueue := packetMessage(1)
	otherQueue[19] = 8
	otherSubsystem := packetMessage(1)
	copy(otherSubsystem[4:], wire(uint16(0x0400)))
	unknownType := packetMessage(1)
	copy(unknownType[4:], wire(uint16(0x03ff)))
	for name, message := range map[string][]byte{
		"no ID":             noID,
		"another queue":     otherQueue,
		"another subsystem": otherSubsystem,
		"unknown type":      unknownType,
		"no header":         {1, 2, 3},
		"too long":          wire(uint32(400), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02000008"),
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{OnError: reported.Add})
			k.Deliver(message)
			start(t, q, accept)
			reported.Next(t, nfnl.ErrMalformed)
			wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
			reported.WantNoMore(t)
			if s := q.Stats(); s.Malformed != 1 || s.Packets != 1 || s.Fallbacks != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A packet whose message has no ID to be read waits, until what is for all
// packets.
func TestPacketThatNobodyCanNameWaits(t *testing.T) {
	for name, decide := range map[string]func(q *nfqueue.Queue) error{
		"SetVerdictUpTo": func(q *nfqueue.Queue) error { return q.SetVerdictUpTo(1, fallback) },
		"SetVerdictAll":  func(q *nfqueue.Queue) error { return q.SetVerdictAll(fallback) },
		"Shutdown":       func(q *nfqueue.Queue) error { return q.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			conn, k := nfqueuetest.New(t)
			bind, err := nfqueue.Config{Queue: 7}.Bind()
			if err == nil {
				err = conn.Request(bind)
			}
			if err != nil {
				t.Fatal(err)
			}
			k.Enqueue(packet("x"))
			if err := conn.Receive(nfnl.NewBatch(1, 1<<16, func(nfnl.Message, error) {})); err != nil {
				t.Fatal(err)
			}
			q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, Fallback: fallback})
			if err != nil {
				t.Fatal(err)
			}
			k.Deliver([]byte{1, 2, 3}) // in place of its message
			start(t, q, accept)
			wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
			if left := k.Waiting(); !slices.Equal(left, []uint32{1}) {
				t.Errorf("waiting are %v", left)
			}
			if err := decide(q); err != nil {
				t.Error(err)
			}
			wantVerdict(t, k, 1, fallback)
		})
	}
}

func TestAnswersForNobodyAreIgnored(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	for _, errno := range []uint32{0, uint32(0xffffffff - 15)} { // and -EBUSY
		k.Deliver(wire(uint32(36), uint16(2), uint16(0x100), uint32(77), uint32(0), errno,
			uint32(56), uint16(0x0302), uint16(5), uint32(77), uint32(0)))
	}
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	reported.WantNoMore(t)
	if s := q.Stats(); s.Refused+s.Malformed+s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

// OnError is called where a handler would be.
func TestBlockedOnErrorDelaysOnlyThePacketsBehindIt(t *testing.T) {
	blocked, release := make(chan struct{}, 1), make(chan struct{})
	q, k := open(t, nfqueue.Config{OnError: func(error) {
		blocked <- struct{}{}
		<-release
	}})
	k.Lose(1)
	behind := k.Enqueue(packet("x"))
	start(t, q, accept)
	testkit.Next(t, blocked)
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
	if left := k.Waiting(); !slices.Equal(left, []uint32{behind}) {
		t.Errorf("%d wait", left)
	}
	close(release)
	wantVerdict(t, k, behind, nfqueue.Accept())
}

func TestOnErrorMayCallAnything(t *testing.T) {
	var q *nfqueue.Queue
	called := make(chan error, 1)
	onError := func(error) {
		err := q.SetVerdict(3, nfqueue.Stop()) // of the batch that tells of the loss
		err = errors.Join(err, q.TryReceive(q.NewBatch()), q.SetVerdictAll(nfqueue.Accept()))
		q.Stats()
		called <- errors.Join(err, q.Close())
	}
	var k *nfqueuetest.Kernel
	q, k = open(t, nfqueue.Config{OnError: onError})
	k.Lose(2)
	id := k.Enqueue(packet("x"))
	if err := q.Run(t.Context(), accept); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
	if err := testkit.Next(t, called); err != nil {
		t.Error(err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
}

func TestVerdictsOfAClosedQueueAreErrClosed(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	k.Enqueue(packet("x"))
	b := q.NewBatch()
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	q.Close()
	if err := q.Send(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send returned %v", err)
	}
}
