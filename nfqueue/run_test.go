package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The other packets of the batch are the kernel's, which drops them.
func TestCloseInAHandlerIsItsLastCall(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for range 20 {
		k.Enqueue(packet("x"))
	}
	calls := 0
	err := q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if calls++; calls == 3 {
			q.Close()
		}
		return nfqueue.Accept()
	})
	if !errors.Is(err, net.ErrClosed) || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if s := q.Stats(); s.Packets != 20 || s.Fallbacks != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCloseInOnErrorIsFollowedByNoCall(t *testing.T) {
	var q *nfqueue.Queue
	q, k := open(t, nfqueue.Config{OnError: func(error) { q.Close() }})
	k.Enqueue(packet("before"))
	k.Lose(1) // OnError is told of, when the next packet comes
	k.Enqueue(packet("behind"))
	err := q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		t.Errorf("the handler got %q", data(p.Payload))
		return nfqueue.Accept()
	})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
}

func TestVerdictsReachTheKernelAsGiven(t *testing.T) {
	raw := []byte("twenty bytes at least")
	verdicts := []nfqueue.Verdict{
		nfqueue.Drop(), nfqueue.Accept(), nfqueue.Stop(), nfqueue.Repeat(),
		nfqueue.Requeue(300), nfqueue.RequeueOrAccept(0), nfqueue.Accept().WithMark(7),
		nfqueue.Accept().WithMark(0).WithPriority(6), nfqueue.Repeat().WithMark(1), nfqueue.Accept().WithRawPayload(raw),
	}
	q, k := open(t, nfqueue.Config{})
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return verdicts[p.ID-1] })
	for _, want := range verdicts {
		wantVerdict(t, k, k.Enqueue(packet("x")), want)
	}
	if left := k.Waiting(); len(left) > 0 {
		t.Errorf("%v still wait", left)
	}
	if s := q.Stats(); s.Packets != uint64(len(verdicts)) || s.Refused+s.Gone+s.Fallbacks+s.Lost+s.Malformed != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestHandlerSeesThePacket(t *testing.T) {
	q, k := open(t, nfqueue.Config{Owner: true})
	in := nfqueue.Packet{Family: nfnl.IPv4, Hook: nfnl.Output, OutDev: 2, Mark: 7, HasOwner: true, UID: 1000, GID: 100, Payload: udpPacket("hello")}
	id := k.Enqueue(in)
	got := make(chan *nfqueue.Packet, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		got <- p.Clone()
		return nfqueue.Drop()
	})
	p := testkit.Next(t, got)
	if p.ID != id || p.Queue != 7 || p.Hook != nfnl.Output || p.OutDev != 2 || p.Mark != 7 || !p.HasOwner || p.UID != 1000 || p.GID != 100 {
		t.Errorf("got %+v", p)
	}
	if data(p.Payload) != "hello" || p.Len != len(in.Payload) || p.Proto != 0x0800 {
		t.Errorf("got %v", p)
	}
}

func TestPacketIsCutToTheCopyRange(t *testing.T) {
	q, k := open(t, nfqueue.Config{CopyRange: 28})
	k.Enqueue(packet("hello"))
	got := make(chan *nfqueue.Packet, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		got <- p.Clone()
		return nfqueue.Accept()
	})
	if p := testkit.Next(t, got); len(p.Payload) != 28 || p.Len != 33 || !p.Truncated() {
		t.Errorf("got %d bytes of %d", len(p.Payload), p.Len)
	}
}

func TestVerdictsOfABatchAreOneSend(t *testing.T) {
	q, w := tap(t, nfqueue.Config{FlushAfter: time.Hour})
	for id := range uint32(5) {
		w.Deliver(packetMessage(id + 1))
	}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept().WithMark(p.ID) })
	if ids := verdictIDs(t, testkit.Next(t, w.sends)); !slices.Equal(ids, []uint32{1, 2, 3, 4, 5}) {
		t.Errorf("the first send has verdicts on %v", ids)
	}
}

func TestLargeVerdictsAreSentBeforeTheBatchIsThrough(t *testing.T) {
	q, w := tap(t, nfqueue.Config{FlushAfter: time.Hour})
	for id := range uint32(3) {
		w.Deliver(packetMessage(id+1, tlv(10, udpPacket("x"))))
	}
	large := make([]byte, 40<<10)
	start(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept().WithRawPayload(large) })
	first, second := testkit.Next(t, w.sends), testkit.Next(t, w.sends)
	if a, b := verdictIDs(t, first), verdictIDs(t, second); !slices.Equal(a, []uint32{1, 2}) || !slices.Equal(b, []uint32{3}) {
		t.Errorf("sends have verdicts on %v and %v", a, b)
	}
}

func TestPayloadBufferMayBeUsedAgain(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	var ids []uint32
	for range 3 {
		ids = append(ids, k.Enqueue(packet("x")))
	}
	scratch := udpPacket("x")
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		scratch[0] = byte(p.ID) // raw, so anything will do
		return nfqueue.Accept().WithRawPayload(scratch)
	})
	for _, id := range ids {
		want := udpPacket("x")
		want[0] = byte(id)
		wantVerdict(t, k, id, nfqueue.Accept().WithRawPayload(want))
	}
}

func TestPayloadEditedInPlaceIsFinished(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	id := k.Enqueue(packet("hello"))
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		copy(p.Payload[28:], "HELLO")
		return nfqueue.Accept().WithPayload(p.Payload)
	})
	wantVerdict(t, k, id, nfqueue.Accept().WithRawPayload(udpPacket("HELLO")))
}

func TestClosedQueueSaysSo(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	if err := errors.Join(q.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
	b := q.NewBatch()
	for name, f := range map[string]func() error{
		"Run":           func() error { return q.Run(t.Context(), accept) },
		"Receive":       func() error { return q.Receive(b) },
		"TryReceive":    func() error { return q.TryReceive(b) },
		"SetVerdict":    func() error { return q.SetVerdict(1, nfqueue.Accept()) },
		"SetVerdictAll": func() error { return q.SetVerdictAll(nfqueue.Drop()) },

		"SetReadDeadline": func() error { return q.SetReadDeadline(time.Now()) },
	} {
		if err := f(); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "nfqueue 7: ") {
			t.Errorf("%s returned %v", name, err)
		}
	}
	q.Stats() // still works
}
